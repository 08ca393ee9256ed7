// The console in a page: lines go out by a WebSocket, and what comes back is shown as text.

const LINES = 2000; // that are kept of what was said
const EARLIER = 200; // lines that were typed and can be gone back to
const REASONS = {
  1001: "the server stops",
  1006: "the connection was lost, or nobody is in any more",
};

const place = document.getElementById("console");
const said = place.querySelector(".said");
const form = place.querySelector("form");
const field = form.elements.line;
const prompt = place.querySelector(".prompt");
const stop = place.querySelector(".stop");
const state = place.querySelector(".runs");
const again = place.querySelector(".again");

let socket = null;
let last = null; // the line that is not ended yet
let earlier = [];
let at = 0; // in `earlier`; its length for the line that is new
let draft = "";
let leaving = false; // Tab is to leave the field
let asked = 0;
let columns = 0;

function send(message) {
  if (socket !== null && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

// ---- what is shown ----

function show(text, kind = "") {
  const below = said.scrollHeight - said.scrollTop - said.clientHeight < 8;
  const added = document.createDocumentFragment();
  text.split("\n").forEach((piece, number, pieces) => {
    if (number === pieces.length - 1 && piece === "") return;
    if (last === null) {
      last = document.createElement("div");
      last.className = kind || (piece.startsWith("error: ") ? "wrong" : "");
      added.append(last);
    }
    last.append(piece);
    if (number < pieces.length - 1) last = null;
  });
  said.append(added);
  while (said.childElementCount > LINES) said.firstElementChild.remove();
  if (below || kind) said.scrollTop = said.scrollHeight;
}

function busy(is) {
  stop.disabled = !is;
  state.textContent = is ? "Something runs." : "";
}

function measure() {
  const ruler = document.createElement("span");
  ruler.className = "ruler";
  ruler.textContent = "0".repeat(100);
  said.append(ruler);
  const style = getComputedStyle(said);
  const room = said.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const fit = Math.floor((room * 100) / ruler.getBoundingClientRect().width);
  ruler.remove();
  const now = Math.min(500, Math.max(20, fit));
  if (now !== columns) send({ what: "columns", number: (columns = now) });
}

// ---- what comes ----

const HEARD = {
  text: (message) => show(message.text),
  prompt: (message) => {
    prompt.textContent = message.text;
    busy(false);
  },
  words: (message) => complete(message),
};

function connect() {
  const address = new URL(place.dataset.address, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  state.textContent = "Connecting.";
  again.hidden = true;
  columns = 0;
  const opened = (socket = new WebSocket(address));
  opened.onopen = () => {
    field.disabled = false;
    busy(true);
    measure();
    field.focus();
  };
  opened.onmessage = (event) => {
    const message = JSON.parse(event.data);
    HEARD[message.what]?.(message);
  };
  opened.onclose = (event) => {
    const why = event.reason || REASONS[event.code] || "it was closed";
    field.disabled = stop.disabled = true;
    prompt.textContent = "";
    last = null;
    state.textContent = `Not connected: ${why}.`;
    again.hidden = false;
  };
}

// ---- what is typed ----

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (field.disabled) return;
  const line = field.value;
  last = null;
  show(`${prompt.textContent}${line}\n`, "mine");
  send({ what: "line", text: line });
  if (line.trim() !== "" && earlier[earlier.length - 1] !== line) earlier = [...earlier, line].slice(-EARLIER);
  at = earlier.length;
  draft = field.value = "";
  asked += 1; // what was asked for the old line is not for the new one
  busy(true);
});

function go(step) {
  const to = at + step;
  if (to < 0 || to > earlier.length) return;
  if (at === earlier.length) draft = field.value;
  at = to;
  field.value = at === earlier.length ? draft : earlier[at];
  field.setSelectionRange(field.value.length, field.value.length);
}

function complete({ number, words }) {
  if (number !== asked || words.length === 0) return;
  const end = field.selectionStart;
  const before = field.value.slice(0, end);
  const begun = before.slice(before.lastIndexOf(" ") + 1);
  let common = words[0];
  for (const word of words) while (!word.startsWith(common)) common = common.slice(0, -1);
  const more = common.slice(begun.length) + (words.length === 1 ? " " : "");
  if (common.startsWith(begun)) field.setRangeText(more, end, end, "end");
  if (words.length > 1 && common === begun) show(`${words.join("  ")}\n`, "offered");
}

function interrupt() {
  send({ what: "interrupt" });
  draft = field.value = "";
  at = earlier.length;
}

field.addEventListener("keydown", (event) => {
  const plain = !event.ctrlKey && !event.altKey && !event.metaKey && !event.shiftKey;
  const nothingMarked = field.selectionStart === field.selectionEnd && String(document.getSelection()) === "";
  if (event.key === "Tab" && plain && !leaving && field.value.trim() !== "") {
    event.preventDefault();
    send({ what: "complete", text: field.value.slice(0, field.selectionStart), number: (asked += 1) });
  } else if (event.key === "ArrowUp" && plain) {
    event.preventDefault();
    go(-1);
  } else if (event.key === "ArrowDown" && plain) {
    event.preventDefault();
    go(1);
  } else if (event.key.toLowerCase() === "c" && event.ctrlKey && !event.shiftKey && !event.altKey && nothingMarked) {
    event.preventDefault();
    interrupt();
  }
  leaving = event.key === "Escape" || (leaving && event.key === "Shift");
});
field.addEventListener("input", () => {
  asked += 1;
});
field.addEventListener("blur", () => {
  leaving = false;
});
stop.addEventListener("click", () => {
  interrupt();
  field.focus();
});
again.addEventListener("click", connect);
window.addEventListener("resize", measure);

place.hidden = false;
connect();
