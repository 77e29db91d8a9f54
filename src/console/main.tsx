import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/shell.css";
import "./styles/pages.css";
import "./styles/audit.css";
import "./styles/budgets.css";
import { render } from "preact";
import { createConsoleSessions } from "./data/session.ts";
import { PAGES } from "./pages.ts";
import { App } from "./shell/app.tsx";
import { signInByLink } from "./shell/link.ts";

const root = document.getElementById("app");
if (root !== null) {
  const sessions = createConsoleSessions(location.origin, localStorage);
  // What the server has put there is shown until now.
  root.replaceChildren();
  render(<App pages={PAGES} sessions={sessions} start={signInByLink(sessions)} />, root);
}
