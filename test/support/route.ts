/** The defaults of a route: every method and host, any valid key. */
export const PLAIN_ROUTE = {
  methods: [],
  hosts: [],
  public: false,
  scopes: [],
  anyScope: [],
  cost: 1,
  mode: "enforce",
  stripCredential: true,
} as const;
