// Brings the parts of a page that change up to date, as the server would show them now.

const EVERY = 5000; // milliseconds

function busy(part) {
  return part.contains(document.activeElement) || part.querySelector("details[open]") !== null;
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const now = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = now.getElementById(part.id);
    if (other && !busy(part) && other.innerHTML !== part.innerHTML) part.replaceChildren(...other.childNodes);
  }
}

async function go() {
  try {
    await refresh();
  } catch {
    // The process is away; it is asked again.
  }
  setTimeout(go, EVERY);
}

setTimeout(go, EVERY);
