// When its server was killed and another one is there, an open page connects by itself; but a click or a timer in between can leave it empty
// for good: the new server is asked for a fragment that it does not know, or sends an element whose place has gone. Every page of ours has
// a title; where none is there and nothing runs, the page is loaded again: its address has what was looked at.
(() => {
  const EVERY = 1000, LOOKS = 3, REST = 20_000; // milliseconds; looks in a row without a title; milliseconds from one reload to the next
  let without = 0;
  globalThis.deftEmptyPage ??= setInterval(async () => {
    const app = document.querySelector('[data-testid="stApp"]'), title = document.querySelector('[data-testid="stMain"] h1');
    const busy = app && app.dataset.testScriptState !== "notRunning";
    without = title || busy ? 0 : without + 1;
    if (without < LOOKS || Date.now() - Number(sessionStorage.deftLoadedAgain ?? 0) < REST) return;
    if (!(await fetch("_stcore/health").then((answer) => answer.ok, () => false))) return; // nobody to load it from
    sessionStorage.deftLoadedAgain = Date.now();
    location.reload();
  }, EVERY);
})();
