import type { PageProps } from "../../page.ts";
import { KeyList } from "./key-list.tsx";
import { KeyPage } from "./key-page.tsx";
import { searchOf } from "./key-search.ts";
import { RegisterPage } from "./register-page.tsx";

/** `/keys`, `/keys/new` and `/keys/KEY_ID`. */
export function Keys({ route }: PageProps) {
  const [keyId] = route.segments;
  if (keyId === undefined) return <KeyList search={searchOf(route.query)} />;
  return keyId === "new" ? <RegisterPage /> : <KeyPage key={keyId} keyId={keyId} />;
}
