/** What is written and run on each system, to the letter. */

import assert from "node:assert/strict";

import type { ServiceFacts, UserFacts } from "../../../lib/cli/service/service_facts.ts";
import {
  logsCommand,
  servicePlace,
  serviceState,
  serviceText,
} from "../../../lib/cli/service/service_plan.ts";

const LINUX: UserFacts = {
  os: "linux",
  directory: "/home/anna",
  configHome: undefined,
  uid: 1000,
  user: "anna",
  systemRoot: "",
};
const MAC: UserFacts = { ...LINUX, os: "darwin", directory: "/Users/anna", uid: 501 };
const WINDOWS: UserFacts = {
  os: "windows",
  directory: "C:\\Users\\Anna",
  configHome: undefined,
  uid: null,
  user: "PC\\Anna",
  systemRoot: "C:\\Windows",
};

const FACTS: ServiceFacts = {
  name: "default",
  argv: ["/opt/talos", "mcp-serve", "--command", 'npx -y a "b c" 100% $HOME \\', "--", "x<y&z"],
  directory: "/home/anna/my projects",
  env: { PATH: "/usr/bin:/bin", KEY: 'a "quoted" $value' },
  home: "/home/anna/.talos",
  writable: null,
};

Deno.test("serviceText() writes a systemd unit that every user's manager can hold to on Linux", () => {
  assert.equal(
    serviceText(LINUX, FACTS),
    `[Unit]
Description=Talos: MCP servers shared from this machine (default)

[Service]
Type=exec
ExecStart="/opt/talos" "mcp-serve" "--command" "npx -y a \\"b c\\" 100%% $$HOME \\\\" "--" "x<y&z"
WorkingDirectory=/home/anna/my projects
Environment="PATH=/usr/bin:/bin"
Environment="KEY=a \\"quoted\\" $value"
Restart=always
RestartSec=5
RestartPreventExitStatus=2 7
KillMode=mixed
TimeoutStopSec=15
UMask=0077
NoNewPrivileges=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes

[Install]
WantedBy=default.target
`,
  );
});

Deno.test("serviceText() closes the disk but for the folders named when --writable was said", () => {
  const text = serviceText(LINUX, { ...FACTS, writable: ["/home/anna/my projects"] });
  const added = text.split("\n").filter((line) => !serviceText(LINUX, FACTS).includes(line));
  assert.deepEqual(added, [
    "PrivateTmp=yes",
    "ProtectSystem=strict",
    'ReadWritePaths="/home/anna/.talos" "/home/anna/my projects"',
  ]);
});

Deno.test("serviceText() refuses a line feed in a unit", () => {
  assert.throws(
    () => serviceText(LINUX, { ...FACTS, argv: ["/opt/talos", "a\nExecStart=/evil"] }),
    {
      code: "usage",
    },
  );
});

Deno.test("serviceText() writes a launchd agent on macOS", () => {
  assert.equal(
    serviceText(MAC, { ...FACTS, directory: "/Users/anna", home: "/Users/anna/.talos" }),
    `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>talos.mcp-serve</string>
  <key>ProgramArguments</key>
  <array>
    <string>/opt/talos</string>
    <string>mcp-serve</string>
    <string>--command</string>
    <string>npx -y a "b c" 100% $HOME \\</string>
    <string>--</string>
    <string>x&lt;y&amp;z</string>
  </array>
  <key>WorkingDirectory</key>
  <string>/Users/anna</string>
  <key>EnvironmentVariables</key>
  <dict>
    <key>PATH</key>
    <string>/usr/bin:/bin</string>
    <key>KEY</key>
    <string>a "quoted" $value</string>
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <true/>
  <key>ThrottleInterval</key>
  <integer>10</integer>
  <key>Umask</key>
  <integer>63</integer>
  <key>StandardOutPath</key>
  <string>/Users/anna/.talos/service-default.log</string>
  <key>StandardErrorPath</key>
  <string>/Users/anna/.talos/service-default.log</string>
</dict>
</plist>
`,
  );
});

Deno.test("serviceText() writes a task that sets variables and keeps the log on Windows", () => {
  const facts: ServiceFacts = {
    name: "notes",
    argv: ["C:\\Program Files\\talos.exe", "mcp-serve", "--cwd", "C:\\my notes\\", "--", "a&b"],
    directory: "C:\\Users\\Anna",
    env: { TALOS_SERVER: "reg.example" },
    home: "C:\\Users\\Anna\\.talos",
    writable: null,
  };
  assert.equal(
    serviceText(WINDOWS, facts),
    `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.4" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Talos: MCP servers shared from this machine (notes)</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <UserId>PC\\Anna</UserId>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>PC\\Anna</UserId>
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>999</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>C:\\Windows\\System32\\cmd.exe</Command>
      <Arguments>/d /s /c "set "TALOS_SERVER=reg.example" &amp;&amp; "C:\\Program Files\\talos.exe" "mcp-serve" "--cwd" "C:\\my notes\\\\" "--" "a&amp;b" &gt;&gt; "C:\\Users\\Anna\\.talos\\service-notes.log" 2&gt;&amp;1"</Arguments>
      <WorkingDirectory>C:\\Users\\Anna</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
`.replaceAll("\n", "\r\n"),
  );
  for (const word of ['a "b"', "%PATH%", "a\nb"]) {
    assert.throws(() => serviceText(WINDOWS, { ...facts, argv: ["C:\\talos.exe", word] }), {
      code: "usage",
    });
  }
});

Deno.test("servicePlace() says where each system looks, and how it is told", () => {
  const { status, ...linux } = servicePlace(LINUX, "notes", "/home/anna/.talos");
  assert.deepEqual(linux, {
    id: "talos-notes.service",
    file: "/home/anna/.config/systemd/user/talos-notes.service",
    log: null,
    probe: ["systemctl", "--user", "show-environment"],
    clear: [],
    start: [
      ["systemctl", "--user", "daemon-reload"],
      ["systemctl", "--user", "enable", "talos-notes.service"],
      ["systemctl", "--user", "restart", "talos-notes.service"],
    ],
    stop: [["systemctl", "--user", "disable", "--now", "talos-notes.service"]],
    afterwards: [
      ["systemctl", "--user", "daemon-reload"],
      ["systemctl", "--user", "reset-failed", "talos-notes.service"],
    ],
  });
  assert.deepEqual(status.slice(0, 4), ["systemctl", "--user", "show", "talos-notes.service"]);
  assert.equal(
    servicePlace({ ...LINUX, configHome: "/conf" }, "default", "/h").file,
    "/conf/systemd/user/talos.service",
  );
  const file = "/Users/anna/Library/LaunchAgents/talos.mcp-serve.plist";
  assert.deepEqual(servicePlace(MAC, "default", "/Users/anna/.talos"), {
    id: "talos.mcp-serve",
    file,
    log: "/Users/anna/.talos/service-default.log",
    probe: ["launchctl", "print", "gui/501"],
    clear: [["launchctl", "bootout", "gui/501/talos.mcp-serve"]],
    start: [
      ["launchctl", "enable", "gui/501/talos.mcp-serve"],
      ["launchctl", "bootstrap", "gui/501", file],
    ],
    stop: [["launchctl", "bootout", "gui/501/talos.mcp-serve"]],
    afterwards: [],
    status: ["launchctl", "print", "gui/501/talos.mcp-serve"],
  });
  const xml = "C:\\Users\\Anna\\.talos\\service-notes.xml";
  assert.deepEqual(servicePlace(WINDOWS, "notes", "C:\\Users\\Anna\\.talos"), {
    id: "Talos notes",
    file: xml,
    log: "C:\\Users\\Anna\\.talos\\service-notes.log",
    probe: null,
    clear: [["schtasks", "/End", "/TN", "Talos notes"]],
    start: [
      ["schtasks", "/Create", "/TN", "Talos notes", "/XML", xml, "/F"],
      ["schtasks", "/Run", "/TN", "Talos notes"],
    ],
    stop: [
      ["schtasks", "/End", "/TN", "Talos notes"],
      ["schtasks", "/Delete", "/TN", "Talos notes", "/F"],
    ],
    afterwards: [],
    status: [
      "powershell",
      "-NoProfile",
      "-Command",
      "(Get-ScheduledTask -TaskName 'Talos notes').State",
    ],
  });
});

Deno.test("logsCommand() names what shows the log on each system", () => {
  const home = "/home/anna/.talos";
  assert.deepEqual(logsCommand(LINUX, "default", home, { lines: 9, follow: true }), [
    "journalctl",
    "--user",
    "--unit=talos.service",
    "--no-pager",
    "--output=cat",
    "--lines=9",
    "--follow",
  ]);
  assert.deepEqual(logsCommand(MAC, "notes", "/h", { lines: 9, follow: true }), [
    "tail",
    "-n",
    "9",
    "-F",
    "/h/service-notes.log",
  ]);
  assert.deepEqual(logsCommand(WINDOWS, "notes", "C:\\it's", { lines: 9, follow: true }), [
    "powershell",
    "-NoProfile",
    "-Command",
    "Get-Content -LiteralPath 'C:\\it''s\\service-notes.log' -Tail 9 -Wait",
  ]);
});

Deno.test("serviceState() reads what each system prints", () => {
  const systemd = (active: string, load = "loaded") =>
    serviceState("linux", {
      code: 0,
      stdout: `LoadState=${load}\nActiveState=${active}\nResult=exit-code\nMainPID=42\n` +
        "ExecMainStatus=7\nNRestarts=3\n",
    });
  const why = "exit status 7, exit-code, restarted 3 times";
  assert.deepEqual(systemd("active"), { state: "running", pid: 42 });
  assert.deepEqual(systemd("activating"), { state: "starting", why });
  assert.deepEqual(systemd("failed"), { state: "failed", why });
  assert.deepEqual(systemd("inactive"), { state: "stopped" });
  assert.deepEqual(systemd("inactive", "not-found"), { state: "absent" });

  const launchd = (stdout: string, code = 0) => serviceState("darwin", { code, stdout });
  assert.deepEqual(launchd("\tstate = running\n\tpid = 42\n"), { state: "running", pid: 42 });
  assert.deepEqual(launchd("\tstate = not running\n\tlast exit code = 7\n"), {
    state: "failed",
    why: "exit status 7",
  });
  assert.deepEqual(launchd("\tstate = not running\n\tlast exit code = 0\n"), { state: "stopped" });
  assert.deepEqual(launchd("\tlast exit code = (never exited)\n"), { state: "starting" });
  assert.deepEqual(launchd("", 113), { state: "absent" });

  const windows = (stdout: string, code = 0) => serviceState("windows", { code, stdout }).state;
  assert.equal(windows("Running\r\n"), "running");
  assert.equal(windows("Ready\r\n"), "stopped");
  assert.equal(windows("", 1), "absent");
});

Deno.test({
  name: "systemd-analyze accepts what serviceText() writes",
  ignore: Deno.build.os !== "linux" || !hasSystemdAnalyze(),
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "talos-unit-" });
    try {
      for (const writable of [null, [folder]]) {
        const unit = `${folder}/talos.service`;
        const argv: ServiceFacts["argv"] = ["/bin/echo", ...FACTS.argv.slice(1)];
        await Deno.writeTextFile(
          unit,
          serviceText(LINUX, { ...FACTS, argv, directory: folder, writable }),
        );
        const { code, stderr } = await new Deno.Command("systemd-analyze", {
          args: ["verify", "--user", unit],
          env: { XDG_RUNTIME_DIR: folder },
          stdout: "null",
        }).output();
        const said = new TextDecoder().decode(stderr);
        assert.equal(code, 0, said);
        assert.ok(!said.includes("talos.service:"), said);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

function hasSystemdAnalyze(): boolean {
  try {
    return new Deno.Command("systemd-analyze", { args: ["--version"], stdout: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}
