import assert from "node:assert/strict";

import { connectEntry } from "../../../lib/cli/clients/connect_entry.ts";

const PEER = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";

Deno.test("connectEntry() names the executable and its arguments", () => {
  assert.deepEqual(
    connectEntry({
      os: "darwin",
      program: "/Applications/talos",
      main: null,
      target: `${PEER}/notes`,
      options: ["--home", "/Users/anna/My Talos", "--server", "reg.example:8765"],
      permissions: { home: "/Users/anna/My Talos" },
      env: { TALOS_PASSPHRASE_FILE: "/Users/anna/secret" },
    }),
    {
      command: "/Applications/talos",
      args: [
        ...["mcp-connect", `${PEER}/notes`, "--home", "/Users/anna/My Talos"],
        ...["--server", "reg.example:8765"],
      ],
      env: { TALOS_PASSPHRASE_FILE: "/Users/anna/secret" },
    },
  );
});

Deno.test("connectEntry() names Deno, the main module and no more permissions than needed from source", () => {
  assert.deepEqual(
    connectEntry({
      os: "linux",
      program: "/usr/bin/deno",
      main: "/src/talos/main.ts",
      target: `${PEER}@192.0.2.7:8766`,
      options: [],
      permissions: { home: "/home/anna/.talos", address: { host: "192.0.2.7", port: 8766 } },
      env: {},
    }),
    {
      command: "/usr/bin/deno",
      args: [
        "run",
        "--no-prompt",
        "--allow-read=/home/anna/.talos",
        "--allow-write=/home/anna/.talos",
        "--allow-env=HOME,TALOS_HOME,TALOS_PASSPHRASE_FILE",
        "--allow-sys=uid",
        "--allow-net=192.0.2.7:8766",
        "/src/talos/main.ts",
        "mcp-connect",
        `${PEER}@192.0.2.7:8766`,
      ],
      env: {},
    },
  );
  assert.deepEqual(
    connectEntry({
      os: "windows",
      program: "C:\\deno\\deno.exe",
      main: "C:\\src\\main.ts",
      target: PEER,
      options: [],
      permissions: { home: "C:\\Users\\Anna\\.talos", tokenFile: "C:\\token" },
      env: {},
    }).args,
    [
      "run",
      "--no-prompt",
      "--allow-read=C:\\Users\\Anna\\.talos,C:\\token",
      "--allow-write=C:\\Users\\Anna\\.talos",
      "--allow-env=USERPROFILE,TALOS_HOME,TALOS_PASSPHRASE_FILE,TALOS_SERVER,TALOS_JOIN_TOKEN_FILE",
      "--allow-net",
      "C:\\src\\main.ts",
      "mcp-connect",
      PEER,
    ],
  );
});
