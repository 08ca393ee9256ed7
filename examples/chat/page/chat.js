// Shows what is said in a room, and sends what is typed.
const [enter, say] = [document.querySelector("#enter"), document.querySelector("#say")];

enter.addEventListener("submit", (event) => {
  event.preventDefault();
  const { who, room } = Object.fromEntries(new FormData(enter));
  const url = `rooms/${encodeURIComponent(room)}`;
  const lines = document.querySelector("#lines");
  const events = new EventSource(url);
  events.onopen = () => lines.replaceChildren(); // after a gap all is told again
  events.onmessage = ({ data }) => {
    const line = document.createElement("li");
    line.textContent = data;
    lines.append(line);
    line.scrollIntoView({ block: "nearest" });
  };
  [enter.hidden, say.hidden] = [true, false];
  say.text.focus();
  say.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = JSON.stringify({ who, text: say.text.value });
    const answer = await fetch(url, { method: "POST", body, headers: { "content-type": "application/json" } });
    document.querySelector("#wrong").textContent = answer.ok ? "" : (await answer.json()).message;
    if (answer.ok) say.text.value = "";
  });
});
