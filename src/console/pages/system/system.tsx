import "./system.css";
import type { PageProps } from "../../page.ts";
import { Missing } from "../../parts/states.tsx";
import { SubPages } from "../../parts/sub-pages.tsx";
import { SettingsView } from "./settings.tsx";
import { SigningKeysView } from "./signing-keys.tsx";

const PARTS = [
  { path: "", title: "Settings", component: SettingsView },
  { path: "signing-keys", title: "Signing keys", component: SigningKeysView },
] as const;

/** What this instance was started with. */
export function SystemPage({ route }: PageProps) {
  const [current = ""] = route.segments;
  const part = PARTS.find(({ path }) => path === current);
  if (part === undefined) return <Missing what="page" />;
  const { component: Content } = part;
  return (
    <>
      <h1>System</h1>
      <SubPages label="Parts of the system page" items={PARTS} page="system" current={current} />
      <Content />
    </>
  );
}
