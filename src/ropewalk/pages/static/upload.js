// Upload: files and whole folders, dropped or chosen, one request after the other, with how far it is.
//
// Flow: files with their paths -> small ones together as one form, large ones alone as they are -> server -> its words
// Never: reads a file into memory, or calls something uploaded that the server has not acknowledged.

const BATCH_FILES = 100;
const BATCH_BYTES = 8 * 1024 * 1024; // what the server takes whole before it begins a version
const MOST_FILES = 100_000;

const form = document.getElementById("upload");
const bar = document.getElementById("progress");

// ---- what was dropped or chosen --------------------------------------------------------------------------------------

function entriesOf(folder) {
  const reader = folder.createReader();
  return new Promise((resolve, reject) => {
    const found = [];
    const read = () =>
      reader.readEntries((some) => {
        if (!some.length) return resolve(found);
        found.push(...some);
        read();
      }, reject);
    read();
  });
}

async function filesOf(entry, found) {
  if (found.length >= MOST_FILES) throw new Error(`that is more than ${MOST_FILES} files; upload them in parts`);
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, path: entry.fullPath.replace(/^\//, "") });
  } else if (entry.isDirectory) {
    for (const one of await entriesOf(entry)) await filesOf(one, found);
  }
}

function batchesOf(items) {
  const batches = [];
  let batch = [];
  let bytes = 0;
  for (const item of items) {
    const size = item.file.size + 512; // with what stands around it in the form
    if (batch.length && (bytes + size > BATCH_BYTES || batch.length >= BATCH_FILES)) {
      batches.push(batch);
      [batch, bytes] = [[], 0];
    }
    batch.push(item);
    bytes += size;
  }
  if (batch.length) batches.push(batch);
  return batches;
}

// ---- one request -----------------------------------------------------------------------------------------------------

function requestFor(batch) {
  const address = new URL(form.action);
  if (batch.length === 1 && batch[0].file.size > BATCH_BYTES / 2) {
    const { file, path } = batch[0];
    const folder = address.pathname.replace("/upload/", "/get/").replace(/\/?$/, "/");
    address.pathname = folder + path.split("/").map((name) => encodeURIComponent(name.replaceAll("~", "~7E"))).join("/");
    address.searchParams.set("mtime", Math.max(0, file.lastModified || 0));
    return ["PUT", address, file];
  }
  const data = new FormData();
  for (const { file, path } of batch) {
    data.append("mtime", String(Math.max(0, file.lastModified || 0)));
    data.append("file", file, path);
  }
  return ["POST", address, data];
}

function send(batch, stop, progress) {
  return new Promise((resolve, reject) => {
    const [method, address, body] = requestFor(batch);
    const request = new XMLHttpRequest();
    request.open(method, address);
    request.setRequestHeader("accept", "application/json");
    request.setRequestHeader("x-ropewalk-csrf", form.elements.csrf.value);
    if (method === "PUT") request.setRequestHeader("content-type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onerror = () => reject(new Error("the connection broke off; nothing of this part was kept"));
    request.onabort = () => reject(new Error("stopped; nothing of this part was kept"));
    request.onload = () => {
      const error = request.response?.error;
      if (request.status === 200 && request.response) resolve(request.response);
      else reject(new Error(error ? [error.message, error.hint].filter(Boolean).join("; ") : `status ${request.status}`));
    };
    stop.onclick = () => request.abort();
    request.send(body);
  });
}

// ---- all of them -----------------------------------------------------------------------------------------------------

async function upload(items) {
  if (!items.length) return;
  const [progress, words, stop] = bar.children;
  const all = items.reduce((sum, item) => sum + item.file.size, 0);
  let before = 0;
  let done = 0;
  let told = 0;
  const tell = (bytes) => {
    progress.value = all ? Math.min(1, (before + bytes) / all) : 0;
    const now = performance.now();
    if (now - told < 1000) return; // a reader of screens is not to be talked over
    told = now;
    words.textContent = `${Math.floor(progress.value * 100)} % of ${items.length === 1 ? items[0].path : `${items.length} files`}`;
  };
  bar.hidden = false;
  stop.hidden = false;
  document.body.dataset.uploading = "1";
  let last;
  try {
    for (const batch of batchesOf(items)) {
      last = await send(batch, stop, tell);
      done += batch.length;
      before += batch.reduce((sum, item) => sum + item.file.size, 0);
      tell(0);
    }
  } catch (error) {
    stop.hidden = true;
    words.textContent = `${done} of ${items.length} uploaded. ${error.message}`;
    delete document.body.dataset.uploading;
    return;
  }
  progress.value = 1;
  words.textContent = last.message;
  const here = new URL(location.href);
  here.searchParams.set("done", last.done);
  location.replace(here);
}

function fail(error) {
  bar.hidden = false;
  bar.children[1].textContent = error.message;
}

export function prepareUploads() {
  const wholes = form.querySelector(".folders");
  wholes.hidden = !("webkitdirectory" in HTMLInputElement.prototype);
  form.querySelector(".drop").hidden = false;
  const chosen = (event) => {
    const items = [...event.target.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
    upload(items).catch(fail);
  };
  form.elements.file.addEventListener("change", chosen);
  document.getElementById("whole").addEventListener("change", chosen);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector(".plain").hidden = true;

  const brings = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", async (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    document.body.classList.remove("dropping");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const loose = [...event.dataTransfer.files].map((file) => ({ file, path: file.name }));
    try {
      const found = [];
      for (const entry of entries) await filesOf(entry, found);
      await upload(entries.length ? found : loose);
    } catch (error) {
      fail(error);
    }
  });
}
