import type { Page } from "./page.ts";
import { Audit } from "./pages/audit/audit.tsx";
import { Budgets } from "./pages/budgets/budgets.tsx";
import { Keys } from "./pages/keys/index.tsx";
import { MigrationPage } from "./pages/migration/migration.tsx";
import { Overview } from "./pages/overview/overview.tsx";
import { PolicyPage } from "./pages/policy/policy.tsx";
import { SystemPage } from "./pages/system/system.tsx";

/** Every page, in the order of the navigation. */
export const PAGES: readonly Page[] = [
  { path: "", title: "Overview", shortcut: "o", scopes: ["keys:read"], component: Overview },
  { path: "keys", title: "Keys", shortcut: "k", scopes: ["keys:read"], component: Keys },
  { path: "budgets", title: "Budgets", shortcut: "b", scopes: ["keys:read"], component: Budgets },
  { path: "audit", title: "Audit", shortcut: "a", scopes: ["audit:read"], component: Audit },
  { path: "policy", title: "Policy", shortcut: "p", scopes: ["keys:read"], component: PolicyPage },
  { path: "migration", title: "Migration", shortcut: "m", scopes: ["keys:read"], component: MigrationPage },
  { path: "system", title: "System", shortcut: "s", scopes: ["system:read"], component: SystemPage },
];
