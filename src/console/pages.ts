import type { Page } from "./page.ts";
import { Overview } from "./pages/overview/overview.tsx";

/** Every page, in the order of the navigation. */
export const PAGES: readonly Page[] = [
  { path: "", title: "Overview", shortcut: "o", scopes: ["keys:read"], component: Overview },
];
