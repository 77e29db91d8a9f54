import "./policy.css";
import type { PageProps } from "../../page.ts";
import { Missing } from "../../parts/states.tsx";
import { SubPages } from "../../parts/sub-pages.tsx";
import { ExplainView } from "./explain.tsx";
import { InForceView } from "./in-force.tsx";
import { TryView } from "./try.tsx";

const PARTS = [
  { path: "", title: "In force", component: InForceView },
  { path: "explain", title: "Explain a request", component: ExplainView },
  { path: "try", title: "Try a policy", component: TryView },
] as const;

/** What decides, why it decides so, and what another policy would decide. */
export function PolicyPage({ route }: PageProps) {
  const [current = ""] = route.segments;
  const part = PARTS.find(({ path }) => path === current);
  if (part === undefined) return <Missing what="page" />;
  const { component: Content } = part;
  return (
    <>
      <h1>Policy</h1>
      <SubPages label="Parts of the policy page" items={PARTS} page="policy" current={current} />
      <Content route={route} />
    </>
  );
}
