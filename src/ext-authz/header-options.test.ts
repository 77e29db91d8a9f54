import { expect, test } from "vitest";
import { valuesOf } from "../../test/support/responses.ts";
import type { LegacyNotice } from "../core/legacy/migration.ts";
import { append, noticeHeaders, overwrite } from "./header-options.ts";

const LINK = '</api/auth/v2/migrate>; rel="successor-version"';

test.each<readonly [what: string, notice: LegacyNotice | undefined, headers: Record<string, string>]>([
  ["of a V2 key gets no notice", undefined, {}],
  ["of a V1 key gets a link to the exchange", {}, { "x-latchkey-upgrade": "v2", link: LINK }],
  [
    "of a deprecated V1 key gets the date of its deprecation (RFC 9745) and of its end (RFC 8594)",
    { deprecatedAt: 1_700_000_000, sunset: 1_800_000_000 },
    {
      "x-latchkey-upgrade": "v2",
      link: LINK,
      deprecation: "@1700000000",
      sunset: "Fri, 15 Jan 2027 08:00:00 GMT",
    },
  ],
])("the holder %s", (_what, notice, headers) => {
  expect(valuesOf(noticeHeaders(notice, append))).toEqual(headers);
});

test("a header is replaced, or added after those of upstream, in both forms that Envoy versions apply", () => {
  const header = { key: "link", value: LINK };
  expect(overwrite("link", LINK)).toEqual({ header, append: { value: false }, append_action: 2 });
  expect(append("link", LINK)).toEqual({ header, append: { value: true }, append_action: 0 });
  const links = (link: typeof append) =>
    noticeHeaders({}, link).filter((option) => option.header.key === "link");
  expect(links(append)).toEqual([append("link", LINK)]);
  expect(links(overwrite)).toEqual([overwrite("link", LINK)]);
});
