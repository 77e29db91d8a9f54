import { LatchkeyProblem } from "../../client/problem.ts";
import { envoy } from "./envoy-checks.ts";
import type { SmokeSection, SmokeSession } from "./session.ts";
import { assert, basicOf, denialOf, register, Skipped, v1Of, withTimeout } from "./session.ts";

const v2: SmokeSection = {
  title: "Testing V2 Endpoints (JWT-based System)",
  checks: [
    {
      name: "V2 Endpoints Available",
      async run({ url }) {
        const { status } = await fetch(`${url}/api/auth/v2/validate`, withTimeout());
        assert(status === 401, `validate without a key returns ${status}, not 401`);
      },
    },
    {
      name: "V2 Basic Registration",
      async run(session) {
        const issued = await register(session, "basic").catch((error: unknown) => {
          if (error instanceof Skipped) session.noKey = error;
          throw error;
        });
        assert(issued.api_key.split(".").length === 3, "the key is not a JWT");
        assert(issued.key_id.startsWith("basic_") && issued.role === "basic", "the key has another role");
        assert(
          Date.parse(issued.refresh_after) < Date.parse(issued.expires_at),
          "refresh_after is not before expires_at",
        );
        session.basic = issued;
      },
    },
    {
      name: "V2 Validation",
      async run(session) {
        const { api_key, key_id } = basicOf(session);
        const found = await session.open.validate(api_key);
        assert(found.valid && found.key_id === key_id, "the response describes another key");
      },
    },
    {
      name: "V2 Forged Key Rejection",
      async run(session) {
        const [header, claims, signature = ""] = basicOf(session).api_key.split(".");
        const forged = `${header}.${claims}.${[...signature].reverse().join("")}`;
        const { status } = await denialOf(session.open.validate(forged));
        assert(status === 401, `the response to a forged key is ${status}, not 401`);
      },
    },
  ],
};

const refresh: SmokeSection = {
  title: "Testing V2 Refresh Flow",
  checks: [
    {
      name: "Early Refresh Rejection",
      async run(session) {
        const { status, reason } = await denialOf(session.open.refresh(basicOf(session).api_key));
        assert(
          status === 409 && reason === "refresh-too-early",
          `the response is ${status} ${reason}, not 409 refresh-too-early`,
        );
      },
    },
    {
      name: "Rotation by an Operator",
      async run(session) {
        if (session.operator === undefined) throw new Skipped("set LATCHKEY_TOKEN");
        const issued = await register(session, "basic");
        const next = await session.operator.keys.rotate(issued.key_id);
        session.keys.push(next.api_key);
        for (const key of [issued.api_key, next.api_key])
          assert(
            (await session.open.validate(key)).valid,
            "a rotated key and its successor are not both valid",
          );
      },
    },
  ],
};

const ROLES = ["basic", "contributor", "node_operator"] as const;

const roles: SmokeSection = {
  title: "Testing Role-Based Permissions",
  checks: ROLES.map((role) => ({
    name: `${role.replace(/(^|_)[a-z]/g, (letter) => letter.toUpperCase())} Role`,
    async run(session: SmokeSession) {
      const issued = await register(session, role);
      const found = await session.open.validate(issued.api_key);
      assert(found.role === role && issued.role === role, `the key has the role ${found.role}`);
      assert(found.scopes.length > 0, "the role has no scopes");
    },
  })),
};

const v1: SmokeSection = {
  title: "Testing V1 Endpoints (Legacy System)",
  checks: [
    {
      name: "V1 Registration",
      async run(session) {
        try {
          const issued = await (session.operator ?? session.open).registerLegacy({
            name: "smoke test",
            key_type: "basic",
          });
          session.keys.push(issued.api_key);
          assert(issued.api_key.split(".").length !== 3, "the key is a JWT");
          session.v1 = issued.api_key;
        } catch (error) {
          if (!(error instanceof LatchkeyProblem)) throw error;
          if (error.status === 401)
            throw new Skipped("only an operator can issue keys of the role basic: set LATCHKEY_TOKEN");
          // 410 is the correct response in the phase `removed`.
          assert(error.status === 410, error.message);
        }
      },
    },
    {
      name: "V1 Validation",
      async run(session) {
        const found = await session.open.validate(v1Of(session));
        assert(
          found.valid && found.role === "basic",
          "the key does not have the role it was registered with",
        );
      },
    },
  ],
};

const migration: SmokeSection = {
  title: "Testing Migration (V1 to V2)",
  checks: [
    {
      name: "V1 to V2 Migration",
      async run(session) {
        const key = v1Of(session);
        const issued = await session.open.migrate(key);
        session.keys.push(issued.api_key);
        assert(
          issued.role === "basic" && issued.api_key.split(".").length === 3,
          "the exchange returns no V2 key of the same role",
        );
        assert(
          (await session.open.migrate(key)).key_id === issued.key_id,
          "a repeated exchange returns another key",
        );
      },
    },
    {
      name: "V1 Key Stays Valid",
      async run(session) {
        assert((await session.open.validate(v1Of(session))).valid, "the V1 key is no longer valid");
      },
    },
  ],
};

const revocation: SmokeSection = {
  title: "Testing Revocation",
  checks: [
    {
      name: "Revocation",
      async run(session) {
        const { api_key } = await register(session, "basic");
        await session.open.revoke(api_key);
        const { status } = await denialOf(session.open.validate(api_key));
        assert(status === 401, `the response to a revoked key is ${status}, not 401`);
      },
    },
  ],
};

export const SMOKE_SECTIONS: readonly SmokeSection[] = [v2, refresh, roles, v1, migration, revocation, envoy];
