// Folder: what makes a folder's page quicker than without a script: all entries, a filter, keys, dialogs, uploads.
//
// Flow: rows of the page, then JSON -> list; keys and marks -> the page's own forms
// Never: makes markup out of text: names go in by textContent and attributes alone.

import { prepareUploads } from "./upload.js";

const BLOCK = 100; // entries to a list, of which those out of sight cost the browser nothing
const MOST = 50_000; // entries a page holds; the rest is found by search

const list = document.getElementById("list");
const form = document.getElementById("entries");
const filter = document.getElementById("filter");
const count = document.getElementById("count");
const marked = document.querySelector(".marked");
const removing = document.getElementById("removing");
const renaming = document.getElementById("renaming");
const plain = new Intl.NumberFormat("en");
const blocks = []; // lists of entries: {ul, rows: [[li, name in lower case], ...], seen: how many the filter shows}
const high = list.querySelector(".row")?.offsetHeight ?? 40; // pixels of an entry: more on a phone, where it has two lines
let whole = !list.dataset.rows;

// ---- the rest of the entries -----------------------------------------------------------------------------------------

function sizeOf(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let at = 0;
  for (; bytes >= 1024 && at < units.length - 1; at++) bytes /= 1024;
  return `${bytes.toFixed(at ? 1 : 0)} ${units[at]}`;
}

function timeOf(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const date = new Date(seconds * 1000);
  if (!seconds || Number.isNaN(date.getTime())) return ["", ""];
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return [`${day} ${two(date.getHours())}:${two(date.getMinutes())}`, date.toISOString()];
}

function rowOf([name, label, kind, size, mtime, sided]) {
  const row = document.getElementById("row").content.firstElementChild.cloneNode(true);
  const address = list.dataset.base.replace(/\/?$/, "/") + name + list.dataset.query;
  row.className = `row ${["folder", "file", "link"].includes(kind) ? kind : "other"}`;
  const box = row.querySelector("input");
  if (box) {
    box.value = name;
    box.setAttribute("aria-label", `Mark ${label}`);
  }
  const link = row.querySelector(".name");
  link.href = address;
  link.firstElementChild.textContent = label;
  row.querySelector(".size").textContent = kind === "folder" ? "" : sizeOf(size);
  const [text, stamp] = timeOf(mtime);
  const time = row.querySelector("time");
  time.textContent = text;
  time.dateTime = stamp;
  const about = row.querySelector(".about");
  about.href = `${address}${address.includes("?") ? "&" : "?"}about=1`;
  about.setAttribute("aria-label", `About ${label}`);
  const beside = row.querySelector(".beside");
  if (sided) {
    beside.href = list.dataset.conflicts.replace(/\/?$/, "/") + name;
    beside.setAttribute("aria-label", `Compare the sides of ${label}`);
  } else {
    beside.remove();
  }
  return row;
}

function nextFrame() {
  return new Promise((resolve) => setTimeout(resolve));
}

async function loadRest() {
  let start = Number(list.dataset.start);
  const label = list.querySelector("ul").getAttribute("aria-label");
  while (start !== null && start < MOST) {
    const address = new URL(list.dataset.rows, location.href);
    address.searchParams.set("start", start);
    const answer = await fetch(address, { headers: { accept: "application/json" } });
    if (!answer.ok) return;
    const { rows, next } = await answer.json();
    for (let at = 0; at < rows.length; at += BLOCK) {
      const block = document.createElement("ul");
      block.className = "rows";
      block.setAttribute("aria-label", `${label}, continued`);
      block.append(...rows.slice(at, at + BLOCK).map(rowOf));
      addBlock(block);
      list.append(block);
      await nextFrame();
    }
    start = next;
  }
  whole = start === null;
  const more = document.getElementById("more");
  if (whole) more.remove();
  else more.textContent = `These are the first ${plain.format(MOST)} entries; search finds the others.`;
  tellCount();
}

function tellCount() {
  const all = blocks.reduce((sum, block) => sum + block.rows.length, 0);
  const seen = blocks.reduce((sum, block) => sum + block.seen, 0);
  const words = `${plain.format(all)}${whole ? "" : " or more"} ${all === 1 ? "entry" : "entries"}`;
  count.textContent = filter.value ? `${plain.format(seen)} of ${words}` : words;
}

// ---- filter ----------------------------------------------------------------------------------------------------------

function addBlock(ul) {
  const block = { ul, rows: [...ul.children].map((row) => [row, nameOf(row).toLowerCase()]), seen: ul.children.length };
  blocks.push(block);
  applyFilter(block);
}

function applyFilter(block) {
  const wanted = filter.value.toLowerCase();
  block.seen = 0;
  for (const [row, name] of block.rows) {
    const hide = !name.includes(wanted);
    if (row.hidden !== hide) row.hidden = hide;
    if (!hide) block.seen++;
  }
  block.ul.hidden = block.seen === 0;
  block.ul.style.containIntrinsicBlockSize = `${block.seen * high}px`; // out of sight it keeps the room of what is shown
}

filter.closest("label").hidden = false;
filter.addEventListener("input", () => {
  blocks.forEach(applyFilter);
  tellCount();
});

// ---- marks and dialogs -----------------------------------------------------------------------------------------------

function boxes() {
  return [...list.querySelectorAll("input[name=p]:checked")].filter((box) => !box.closest(".row").hidden);
}

function showMarks() {
  marked?.classList.toggle("idle", boxes().length === 0);
}

function nameOf(row) {
  return row.querySelector(".name").textContent;
}

function askRemove(rows) {
  for (const box of list.querySelectorAll("input[name=p]")) box.checked = rows.includes(box.closest(".row"));
  showMarks();
  const what = rows.length === 1 ? nameOf(rows[0]) : `${plain.format(rows.length)} things`;
  removing.querySelector("p").textContent = `${what} will be deleted.`;
  removing.returnValue = "no";
  removing.showModal();
}

removing?.addEventListener("close", () => {
  if (removing.returnValue === "yes") form.submit();
});

function askRename(row) {
  const field = renaming.querySelector("input[name=name]");
  renaming.querySelector("input[name=p]").value = row.querySelector("input[name=p]").value;
  field.value = renaming.dataset.was = nameOf(row);
  renaming.showModal();
  field.focus();
  const dot = field.value.lastIndexOf(".");
  field.setSelectionRange(0, dot > 0 ? dot : field.value.length);
}

renaming?.addEventListener("submit", (event) => {
  if (renaming.querySelector("input[name=name]").value !== renaming.dataset.was) return;
  event.preventDefault();
  renaming.close();
});
renaming?.querySelector("[data-close]").addEventListener("click", () => renaming.close());
list.addEventListener("change", showMarks);
form.addEventListener("submit", (event) => {
  for (const box of list.querySelectorAll(".row[hidden] input[name=p]")) box.checked = false;
  if (event.submitter?.id === "remove") {
    event.preventDefault();
    const rows = boxes().map((box) => box.closest(".row"));
    if (rows.length) askRemove(rows);
  }
});

// ---- keys ------------------------------------------------------------------------------------------------------------

function shownRows() {
  return [...list.querySelectorAll(".row:not([hidden])")];
}

function go(step) {
  const rows = shownRows();
  const at = rows.indexOf(document.activeElement?.closest?.(".row"));
  const to = step === "first" ? 0 : step === "last" ? rows.length - 1 : at < 0 ? 0 : at + step;
  const row = rows[Math.max(0, Math.min(rows.length - 1, to))];
  row?.querySelector(".name").focus();
  row?.scrollIntoView({ block: "nearest" });
}

document.querySelector(".keys").hidden = !marked;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const row = document.activeElement?.closest?.(".row");
  const typing = document.activeElement?.matches?.("input:not([type=checkbox])");
  const steps = { ArrowDown: 1, ArrowUp: -1, Home: "first", End: "last" };
  if (event.target === filter && event.key === "Escape") {
    filter.value = "";
    filter.dispatchEvent(new Event("input"));
  } else if (event.target === filter && event.key === "ArrowDown") go(1);
  else if (typing) return;
  else if (event.key === "/") filter.focus();
  else if (event.key in steps) go(steps[event.key]);
  else if (row && marked && event.key === "F2") askRename(row);
  else if (row && marked && event.key === "Delete") {
    const rows = boxes().map((box) => box.closest(".row"));
    askRemove(rows.length ? rows : [row]);
  } else if (row && marked && event.key === " " && event.target.matches("a")) {
    const box = row.querySelector("input");
    box.checked = !box.checked;
    showMarks();
  } else return;
  event.preventDefault();
});

// ---- begin -----------------------------------------------------------------------------------------------------------

addBlock(list.querySelector("ul"));
showMarks();
if (marked) prepareUploads();
if (list.dataset.rows && list.dataset.start === String(blocks[0].rows.length)) loadRest();
