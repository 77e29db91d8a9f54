import { useState } from "preact/hooks";
import type { DescribedRequest, Explanation } from "../../../client/explain-types.ts";
import { useClient } from "../../data/context.ts";
import { useAction } from "../../data/use-action.ts";
import { visibleText } from "../../data/visible-text.ts";
import type { PageProps } from "../../page.ts";
import { Notice } from "../../parts/notice.tsx";
import { Empty, ProblemNotice } from "../../parts/states.tsx";
import { Steps } from "../../parts/steps.tsx";
import { RequestForm } from "./request-form.tsx";

/** Why a request gets its decision. The same code decides; nothing is spent. */
export function ExplainView({ route }: PageProps) {
  const client = useClient();
  const explain = useAction((request: DescribedRequest) => client.explain(request));
  const [explanation, setExplanation] = useState<Explanation | undefined>(undefined);
  const onSubmit = async (request: DescribedRequest) => {
    setExplanation(undefined);
    setExplanation(await explain.run(request));
  };
  return (
    <div class="two-columns">
      <section>
        <h2>Request</h2>
        <RequestForm query={route.query} isRunning={explain.isRunning} onSubmit={onSubmit} />
      </section>
      <section aria-live="polite">
        <h2>Decision</h2>
        {explain.problem !== undefined && <ProblemNotice problem={explain.problem} />}
        {explanation !== undefined && <Explained explanation={explanation} />}
        {explanation === undefined && explain.problem === undefined && (
          <Empty>Describe a request to see its steps. No token is spent, and nothing is counted.</Empty>
        )}
      </section>
    </div>
  );
}

function Explained({ explanation }: { readonly explanation: Explanation }) {
  const { verdict, reason, status, mode, route, steps } = explanation;
  const isDenied = verdict === "deny";
  const isShadow = isDenied && mode === "shadow";
  return (
    <>
      <Notice tone={isDenied ? (isShadow ? "warn" : "bad") : "good"}>
        <p>
          <strong>{isDenied ? `Denied: ${reason}` : "Allowed"}</strong>
          {isDenied && !isShadow && <> with status {status}</>}
          {route !== null && (
            <>
              {" "}
              by the route <code>{visibleText(route)}</code>
            </>
          )}
        </p>
        {isShadow && <p>Shadow mode lets the request through nevertheless.</p>}
      </Notice>
      <Steps steps={steps} isDenied={isDenied} />
    </>
  );
}
