// The index of the search is large, so it is fetched when somebody turns to the search, not with every page.
(() => {
  const send = XMLHttpRequest.prototype.send;
  const open = XMLHttpRequest.prototype.open;
  const wanted = /[?&](q|h)=/.test(location.search); // a search that was linked to, or its words on a page
  const asked = wanted
    ? Promise.resolve()
    : new Promise((done) => {
        document.addEventListener("focusin", (event) => { if (event.target.closest?.(".md-search")) done(); });
        document.addEventListener("pointerdown", (event) => {
          if (event.target.closest?.(".md-search, [for=__search]")) done();
        });
        document.addEventListener("keydown", (event) => { if (["f", "s", "/"].includes(event.key)) done(); });
      });
  XMLHttpRequest.prototype.open = function (method, address, ...others) {
    this.late = String(address).endsWith("search/search_index.json");
    return open.call(this, method, address, ...others);
  };
  XMLHttpRequest.prototype.send = function (...body) {
    if (this.late) asked.then(() => send.apply(this, body));
    else send.apply(this, body);
  };
})();
