import { useMissingScope } from "../data/context.ts";
import type { Page } from "../page.ts";
import { Denied } from "../parts/states.tsx";
import type { Route } from "./route.ts";

/** A page, or which scope it needs. */
export function PageView({ page, route }: { readonly page: Page; readonly route: Route }) {
  const missing = useMissingScope(...page.scopes);
  const { component: Content, title } = page;
  if (missing === undefined) return <Content route={route} />;
  return (
    <>
      <h1>{title}</h1>
      <Denied scope={missing} />
    </>
  );
}
