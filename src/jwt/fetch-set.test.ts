import type { IncomingHttpHeaders } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TestedIssuer } from "../../test/support/issuer.ts";
import { startIssuer } from "../../test/support/issuer.ts";
import { fetchSet } from "./fetch-set.ts";

const MAX_BYTES = 256 * 1024;
let server: TestedIssuer;
let accepted: IncomingHttpHeaders["accept"];

beforeAll(async () => {
  server = await startIssuer();
});
afterAll(() => server.stop());

/** Fetches from a server that redirects so often before it responds. */
function fetchFrom(status: number, body: string | Buffer = "", location?: string, redirects = 0) {
  let left = redirects;
  server.answer((request, response) => {
    accepted = request.headers.accept;
    if (left-- > 0) response.writeHead(302, { location: "/next" }).end("moved");
    else response.writeHead(status, location === undefined ? {} : { location }).end(body);
  });
  return fetchSet(server.jwksUri);
}

test("a set is the whole text of a response with 200, which is asked for as a JWK Set", async () => {
  expect(await fetchFrom(200, '{"keys":"é"}')).toBe('{"keys":"é"}');
  expect(accepted).toBe("application/jwk-set+json, application/json");
  expect(await fetchFrom(200, "text", "/other")).toBe("text");
});

describe("a response", () => {
  test.each<readonly [status: number, location: string | undefined]>([
    [201, "/keys"],
    [204, undefined],
    [299, "/keys"],
    [302, undefined],
    [304, undefined],
    [400, "/keys"],
    [404, undefined],
    [503, "/keys"],
  ])("with %d and the location %s is a fault with its status", async (status, location) => {
    await expect(fetchFrom(status, "", location)).rejects.toMatchObject({
      name: "FetchFault",
      message: `it answers ${status}`,
    });
  });

  test.each([300, 301, 308, 399])("with %d and a location on the same host is followed", async (status) => {
    let first = true;
    server.answer((_request, response) => {
      if (first) response.writeHead(status, { location: "/next" }).end();
      else response.end("text");
      first = false;
    });
    expect(await fetchSet(server.jwksUri)).toBe("text");
  });

  test.each(["http://localhost:1/keys", "//localhost:1/keys"])(
    "that redirects to the other place %s is a fault, and nothing is fetched there",
    async (location) => {
      await expect(fetchFrom(302, "", location)).rejects.toThrow(
        "it redirects to another place (http://localhost:1)",
      );
    },
  );

  test("after three redirects is used, and after four it is a fault", async () => {
    expect(await fetchFrom(200, "text", undefined, 3)).toBe("text");
    await expect(fetchFrom(200, "text", undefined, 4)).rejects.toThrow("it redirects without end");
  });

  test("of 256 KiB is used, and one byte more is a fault", async () => {
    expect(await fetchFrom(200, "x".repeat(MAX_BYTES))).toHaveLength(MAX_BYTES);
    await expect(fetchFrom(200, "x".repeat(MAX_BYTES + 1))).rejects.toThrow("it has more than 262144 bytes");
  });

  test("that is no UTF-8 text is a fault", async () => {
    await expect(fetchFrom(200, Buffer.from([0x22, 0xff]))).rejects.toThrow("it is no UTF-8 text");
  });
});

test("a connection that ends without a response is a fault that has its cause", async () => {
  server.answer((request) => request.socket.destroy());
  await expect(fetchSet(server.jwksUri)).rejects.toMatchObject({
    message: "it does not answer",
    cause: expect.any(Error),
  });
});
