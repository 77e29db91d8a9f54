import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { createUnreadAnswers } from "./unread-answers.ts";

test("a response beyond the bound closes its connection, and a response that was read frees its bytes", async () => {
  const unread = createUnreadAnswers(100);
  const server = createServer((request, response) =>
    unread.send(response, {
      status: 200,
      headers: [],
      body: "x".repeat(request.url === "/large" ? 101 : 60),
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  try {
    await expect(get("/large")).rejects.toThrow();
    for (let calls = 0; calls < 5; calls++) expect(await (await get("/small")).text()).toHaveLength(60);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
