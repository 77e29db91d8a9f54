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
        assert(status === 401, `validate without a key answers ${status}, not 401`);
      },
    },
    {
      name: "V2 Basic Registration",
      async run(world) {
        const issued = await register(world, "basic").catch((error: unknown) => {
          if (error instanceof Skipped) world.noKey = error;
          throw error;
        });
        assert(issued.api_key.split(".").length === 3, "the key is no JWT");
        assert(issued.key_id.startsWith("basic_") && issued.role === "basic", "it is of another role");
        assert(
          Date.parse(issued.refresh_after) < Date.parse(issued.expires_at),
          "refresh_after is not before its end",
        );
        world.basic = issued;
      },
    },
    {
      name: "V2 Validation",
      async run(world) {
        const { api_key, key_id } = basicOf(world);
        const found = await world.open.validate(api_key);
        assert(found.valid && found.key_id === key_id, "the answer is about another key");
      },
    },
    {
      name: "V2 Forged Key Rejection",
      async run(world) {
        const [header, claims, signature = ""] = basicOf(world).api_key.split(".");
        const forged = `${header}.${claims}.${[...signature].reverse().join("")}`;
        const { status } = await denialOf(world.open.validate(forged));
        assert(status === 401, `a forged key gets ${status}, not 401`);
      },
    },
  ],
};

const refresh: SmokeSection = {
  title: "Testing V2 Refresh Flow",
  checks: [
    {
      name: "Early Refresh Rejection",
      async run(world) {
        const { status, reason } = await denialOf(world.open.refresh(basicOf(world).api_key));
        assert(status === 409 && reason === "refresh-too-early", `it gets ${status} ${reason}`);
      },
    },
    {
      name: "Rotation by an Operator",
      async run(world) {
        if (world.operator === undefined) throw new Skipped("set LATCHKEY_TOKEN");
        const issued = await register(world, "basic");
        const next = await world.operator.keys.rotate(issued.key_id);
        world.keys.push(next.api_key);
        for (const key of [issued.api_key, next.api_key])
          assert((await world.open.validate(key)).valid, "a rotated key and its successor are not both good");
      },
    },
  ],
};

const ROLES = ["basic", "contributor", "node_operator"] as const;

const roles: SmokeSection = {
  title: "Testing Role-Based Permissions",
  checks: ROLES.map((role) => ({
    name: `${role.replace(/(^|_)[a-z]/g, (letter) => letter.toUpperCase())} Role`,
    async run(world: SmokeSession) {
      const issued = await register(world, role);
      const found = await world.open.validate(issued.api_key);
      assert(found.role === role && issued.role === role, `the key is of the role ${found.role}`);
      assert(found.scopes.length > 0, "the role has no scopes");
    },
  })),
};

const v1: SmokeSection = {
  title: "Testing V1 Endpoints (Legacy System)",
  checks: [
    {
      name: "V1 Registration",
      async run(world) {
        try {
          const issued = await (world.operator ?? world.open).registerLegacy({
            name: "smoke test",
            key_type: "basic",
          });
          world.keys.push(issued.api_key);
          assert(issued.api_key.split(".").length !== 3, "the key is a JWT");
          world.v1 = issued.api_key;
        } catch (error) {
          if (!(error instanceof LatchkeyProblem)) throw error;
          if (error.status === 401)
            throw new Skipped("the role basic is an operator's to give: set LATCHKEY_TOKEN");
          // 410 is the right answer once V1 is removed.
          assert(error.status === 410, error.message);
        }
      },
    },
    {
      name: "V1 Validation",
      async run(world) {
        const found = await world.open.validate(v1Of(world));
        assert(found.valid && found.role === "basic", "it is not what it was registered as");
      },
    },
  ],
};

const migration: SmokeSection = {
  title: "Testing Migration (V1 to V2)",
  checks: [
    {
      name: "V1 to V2 Migration",
      async run(world) {
        const key = v1Of(world);
        const issued = await world.open.migrate(key);
        world.keys.push(issued.api_key);
        assert(
          issued.role === "basic" && issued.api_key.split(".").length === 3,
          "it gives no V2 key of its role",
        );
        assert(
          (await world.open.migrate(key)).key_id === issued.key_id,
          "a second time it gives another key",
        );
      },
    },
    {
      name: "V1 Key Stays Valid",
      async run(world) {
        assert((await world.open.validate(v1Of(world))).valid, "the V1 key is good no longer");
      },
    },
  ],
};

const revocation: SmokeSection = {
  title: "Testing Revocation",
  checks: [
    {
      name: "Revocation",
      async run(world) {
        const { api_key } = await register(world, "basic");
        await world.open.revoke(api_key);
        const { status } = await denialOf(world.open.validate(api_key));
        assert(status === 401, `a revoked key gets ${status}, not 401`);
      },
    },
  ],
};

export const SMOKE_SECTIONS: readonly SmokeSection[] = [v2, refresh, roles, v1, migration, revocation, envoy];
