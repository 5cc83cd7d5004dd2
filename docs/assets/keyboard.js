// What is wider than the page scrolls sideways, by the keyboard too: the theme sees to code, this to tables.
(() => {
  const reach = () => {
    for (const one of document.querySelectorAll(".md-typeset__scrollwrap")) {
      if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
      else one.removeAttribute("tabindex");
    }
  };
  addEventListener("load", reach);
  addEventListener("resize", reach);
  document.addEventListener("toggle", reach, true); // a folded part has no width
})();
