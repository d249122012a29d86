// What pages do better with script than without; they work without. It asks nobody but the page's own address.
for (const secret of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "second";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    button.textContent = await navigator.clipboard.writeText(secret.textContent).then(() => "Copied", () => "Select and copy it");
  });
  if (navigator.clipboard) secret.after(button);
}
if (document.querySelector("[data-live]")) {
  // nobody looks at it: then it asks no more, and the session may run out
  const longest = 10 * 60 * 1000;
  let seen = Date.now();
  for (const kind of ["pointerdown", "pointermove", "keydown"]) addEventListener(kind, () => { seen = Date.now(); });
  setInterval(async () => {
    if (document.hidden || Date.now() - seen > longest) return;
    const reply = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    if (!reply || !reply.ok || reply.redirected) return;
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    const [fresh, old] = [page, document].map((from) => from.querySelector("[data-live]"));
    if (fresh && old) old.replaceWith(document.adoptNode(fresh));
  }, 5000);
}
