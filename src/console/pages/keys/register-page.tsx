import { useCallback, useState } from "preact/hooks";
import type { IssuedKey } from "../../../client/types.ts";
import { useClient, useMissingScope } from "../../data/context.ts";
import { useCall } from "../../data/use-call.ts";
import { CallView, Denied, Empty } from "../../parts/states.tsx";
import { goTo, hrefOf } from "../../shell/route.ts";
import { Issued } from "./issued.tsx";
import { keyHref } from "./key-parts.tsx";
import { RegisterForm } from "./register-form.tsx";

/** Registers a key, and shows it once. */
export function RegisterPage() {
  const missing = useMissingScope("keys:write");
  const [issued, setIssued] = useState<IssuedKey | undefined>(undefined);
  return (
    <>
      <p class="crumbs">
        <a href={hrefOf(["keys"])}>Keys</a>
      </p>
      <h1>Register a key</h1>
      {missing !== undefined && <Denied scope={missing} />}
      {issued !== undefined && (
        <Issued
          issued={issued}
          onDismiss={() => {
            setIssued(undefined);
            goTo(keyHref(issued.key_id), { replace: true });
          }}
        />
      )}
      {missing === undefined && issued === undefined && <FormWithRoles onIssued={setIssued} />}
    </>
  );
}

function FormWithRoles({ onIssued }: { readonly onIssued: (issued: IssuedKey) => void }) {
  const client = useClient();
  const policy = useCall(
    useCallback(async () => {
      const [{ roles }, { plans }] = await Promise.all([client.policy.roles(), client.policy.plans()]);
      return { roles, plans };
    }, [client]),
  );
  return (
    <CallView call={policy} what="the roles of the policy">
      {({ roles, plans }) =>
        roles.length === 0 ? (
          <Empty>
            <p>The policy has no roles. Add one to latchkey.yaml first.</p>
          </Empty>
        ) : (
          <RegisterForm roles={roles} plans={plans} onIssued={onIssued} />
        )
      }
    </CallView>
  );
}
