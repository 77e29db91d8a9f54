import fc from "fast-check";
import { expect, test } from "vitest";
import { readRedisUrl } from "./redis-url.ts";

const placeOf = (text: string) => {
  const read = readRedisUrl(text);
  return read.ok ? read.place : read.problem;
};

test("a URL names the server, the credentials and the database", () => {
  expect(placeOf("redis://r")).toEqual({ host: "r", tls: false });
  expect(placeOf("redis://r:6380/")).toEqual({ host: "r", port: 6380, tls: false });
  expect(placeOf("rediss://u:p%40ss%25@[::1]:1/15")).toEqual({
    ...{ host: "::1", port: 1, db: 15, username: "u", password: "p@ss%", tls: true },
  });
  expect(placeOf("redis://:pw@r/0")).toEqual({ host: "r", password: "pw", db: 0, tls: false });
  expect(placeOf("unix:///run/my%20redis.sock")).toEqual({ socket: "/run/my redis.sock" });
});

test.each([
  ["a % that is not part of an escape", "redis://:100%pass@r", "percent-encode it"],
  ["the same in the user", "redis://%zz:p@r", "percent-encode it"],
  ["half a character", "redis://:%ff@r", "percent-encode it"],
  ["a negative database", "redis://r/-1", "must end in /DB"],
  ["a database that is no number", "redis://r/abc", "must end in /DB"],
  ["a slash after the database", "redis://r/3/", "must end in /DB"],
  ["a number that no database has", "redis://r/12345678", "must end in /DB"],
  ["a query", "redis://r?db=3", "takes neither ? nor #"],
  ["a query at a socket", "unix:///run/r.sock?db=3", "takes neither ? nor #"],
  ["a fragment", "redis://r/3#x", "takes neither ? nor #"],
  ["no host", "redis:///3", "must be redis://"],
  ["port 0", "redis://r:0", "must be redis://"],
  ["another scheme", "http://r", "must be redis://"],
  ["no path of a socket", "unix://", "must be redis://"],
])("%s is rejected, with what to do", (_what, text, problem) => {
  expect(placeOf(text)).toContain(problem);
});

test("no text makes it throw, and percent-encoded credentials are read as they were", () => {
  const parts = fc.array(
    fc.constantFrom("redis://", "unix://", "%", "%zz", "@", ":", "/", "3", "?", "#", "[", "é", "r"),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        parts.map((list) => list.join("")),
      ),
      (text) => void readRedisUrl(text),
    ),
  );
  const credential = fc.string({ unit: "binary", minLength: 1 }).filter((text) => text.isWellFormed());
  fc.assert(
    fc.property(credential, credential, (username, password) => {
      const [user, secret] = [username, password].map(encodeURIComponent);
      expect(placeOf(`redis://${user}:${secret}@r`)).toMatchObject({ username, password });
    }),
  );
});
