// Brings the parts of a page that change up to date, as the server would show them now.

const EVERY = 5000; // milliseconds

function busy(part) {
  return part.contains(document.activeElement) || part.querySelector("details[open]") !== null;
}

// The browser's own way from bytes to a document: to make one of a string is what our policy forbids.
function load(address) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.setRequestHeader("accept", "text/html");
    request.onload = () => resolve(request.status === 200 && request.responseURL === address ? request.response : null);
    request.onerror = () => reject(new Error("the process is away"));
    request.send();
  });
}

async function refresh() {
  if (document.hidden) return;
  const now = await load(location.href.split("#")[0]);
  if (now === null) return;
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
