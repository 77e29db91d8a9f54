import { copyFile, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeAtEnd } from "./at-end.ts";
import type { TestedCa } from "./certificates.ts";

/** The files for /etc/envoy/edge and /etc/envoy/latchkey, all from one authority. */
export async function envoyFolders(ca: TestedCa): Promise<Readonly<Record<string, string>>> {
  const [edge, client] = await Promise.all([ca.issue("edge.example"), ca.issue("envoy.internal")]);
  const place = async (files: Readonly<Record<string, string>>) => {
    const folder = await mkdtemp(join(tmpdir(), "latchkey-envoy-files-"));
    removeAtEnd(folder);
    for (const [name, from] of Object.entries(files)) await copyFile(from, join(folder, name));
    return folder;
  };
  return {
    "/etc/envoy/edge": await place({
      "tls.crt": edge.certFile,
      "tls.key": edge.keyFile,
      "clients-ca.crt": ca.certFile,
    }),
    "/etc/envoy/latchkey": await place({
      "ca.crt": ca.certFile,
      "client.crt": client.certFile,
      "client.key": client.keyFile,
    }),
  };
}
