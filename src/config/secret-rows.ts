import type { RowStore, SecretRow } from "../core/copy/ports.ts";
import type { SecretStore } from "./secrets.ts";

/** The secrets that an instance generates, by the names under which a store keeps them. */
const GENERATED = ["jwt_secret", "key_hash_secret", "audit_key", "admin_token"] as const;

/**
 * The generated secrets of a store, as a copy sees them.
 * @param unused names that instances on this store never read
 */
export function createSecretRows(store: SecretStore, unused: readonly string[] = []): RowStore<SecretRow> {
  const names = GENERATED.filter((name) => !unused.includes(name));
  const find = async (name: string): Promise<SecretRow | undefined> => {
    const value = await store.find(name);
    return value === undefined ? undefined : { name, value };
  };
  return {
    uses: ({ name }) => !unused.includes(name),
    count: async () => undefined,
    async *pages() {
      const rows = await Promise.all(names.map(find));
      yield rows.filter((row) => row !== undefined);
    },
    find: (rows) => Promise.all(rows.map(({ name }) => find(name))),
    put: (changes) =>
      Promise.all(
        changes.map(async ({ row: { name, value } }) => {
          const { value: stored } = await store.getOrCreate(name, value);
          return stored === value ? "written" : "changed";
        }),
      ),
  };
}
