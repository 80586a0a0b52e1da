// The chosen theme, before anything is drawn. "auto" follows the system.
"use strict";
(() => {
  const saved = localStorage.getItem("theme");
  if (saved === "light" || saved === "dark") document.documentElement.dataset.theme = saved;
})();
