import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/shell.css";
import "./styles/holder.css";
import { render } from "preact";
import { HolderApp } from "./holder/app.tsx";
import { createOwnerSessions } from "./holder/session.ts";

const root = document.getElementById("app");
if (root !== null) {
  const sessions = createOwnerSessions(location.origin, localStorage);
  // What the server has put there is shown until now.
  root.replaceChildren();
  render(<HolderApp sessions={sessions} />, root);
  void sessions.start();
}
