import { createClient } from "../../src/client/client.ts";
import type { TestedLatchkey } from "./latchkey.ts";

/** Whether an instance takes a key: true, or the reason of its refusal as the key API words it. */
export async function admits({ http }: Pick<TestedLatchkey, "http">, key: string): Promise<string | true> {
  return createClient({ url: `http://${http}` })
    .validate(key)
    .then(
      () => true,
      (problem: { readonly reason?: string }) => problem.reason ?? String(problem),
    );
}
