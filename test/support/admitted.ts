import { createClient } from "../../src/client/client.ts";
import type { TestedLatchkey } from "./latchkey.ts";

/** True if an instance accepts a key, otherwise the reason in the key API's response. */
export async function admits({ http }: Pick<TestedLatchkey, "http">, key: string): Promise<string | true> {
  return createClient({ url: `http://${http}` })
    .validate(key)
    .then(
      () => true,
      (problem: { readonly reason?: string }) => problem.reason ?? String(problem),
    );
}
