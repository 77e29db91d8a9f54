/** What a route says where nothing is said of it: every method and host, any good key. */
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
