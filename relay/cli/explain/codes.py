"""The pages of `explain CODE`: the usual causes of each error code, and what to do; errors.CODES has the meanings.

A page begins with its code; `?` is a cause, the most likely one first; `>` is a remedy, in the order to try them. A
test requires a page for each code.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_PAGES: Final = """
RLY101
? The old StatsD daemon, or another relay, still holds the address; the message names the process.
? A port below 1024, or an address that this machine does not have.
? The state directory belongs to another user, or its file system is read-only.
? Of a command: no relay listens on the address to which the command connects.
> Stop the process that holds the port (`ss -lunp sport = :8125` shows it); or let `statsd-relay run --take-over`
  replace it without losing a packet; or give [listen] udp another port.
> Give [spool] path a directory of the relay's user; "none" keeps requests in memory only.
> Of a command: name the relay's file with -c, so that it finds the same addresses and directories.

RLY102
? A key is misspelt or stands in another table; the message names the nearest one.
? A value has no unit or an unknown one: sizes are like 8MiB, times like 60s or 1h.
? A variable begins with STATSD_RELAY_ and names no key.
> Go to the line and column that are shown: every problem is listed at once, each with its fix.
> See `statsd-relay config example` for all keys and `statsd-relay config env` for all variables.
> Check the file with `statsd-relay check FILE` before a reload.

RLY103
? The path is wrong, or the relay's user may not read the file.
? TOML: a text without quotes, a bracket that is not closed, a table that is written twice.
? A key names the file of a secret or a certificate, and the file does not exist.
? A secret's file is empty, or has a second line, a control character or anything but ASCII, at the line shown.
? Of `import`: the file has a syntax error at the place shown, or belongs to another daemon than assumed.
> Run `statsd-relay check FILE` as the relay's user; it shows the line.
> In containers, check that the file is mounted at the path of -c.
> Of `import`: name the daemon of the file with --from.

RLY104
? The directory was made by root or by another user, and the relay runs as a different user.
? A file in it belongs to another user: a command or the relay itself was run as root once.
? Its mode lets the group or all users write, or one of the relay's files there is a symbolic link.
> Run the `chown` or `chmod` of the message: a user with write access there can make the relay write anywhere.
> Check where a symbolic link points before you remove it; the relay never makes one.

RLY105
? Another relay runs with the same [spool] path; the message has its pid.
? A relay that is stopping: it may take some seconds to send its last window.
> Stop the other one, or give each its own [spool] path: two of them would send each request twice.
> To replace a running relay without a loss, use `statsd-relay reload --upgrade`.

RLY106
? No process listens at `to` of this [[tee]]: the other daemon has stopped, or listens on another port or address.
? Its name cannot be looked up, or its network is unreachable.
? It is one of the relay's own addresses: every datagram would come back, and be copied again, for ever.
> Start the other daemon, or change `to` and reload; the relay tries again by itself and loses nothing of its own.
> Give relay and daemon ports of their own: [listen] udp for the one, `to` for the other.
> Never let the other daemon repeat its packets to the relay that copies them to it.

RLY110
? No access key was found in the configuration, the environment or ~/.jdc/config.
? Only the access key or only the secret key is set, or the region is missing.
? A variable that the file uses, such as ${NAME:?}, is not set.
> Set JDCLOUD_ACCESS_KEY_ID, JDCLOUD_SECRET_ACCESS_KEY and JDCLOUD_REGION_ID; or [cloud] access_key_file,
  secret_key_file and region.
> Without an account: `statsd-relay demo`, or `statsd-relay run --dry-run`.

RLY111
? A variable STATSD_RELAY_<TABLE>_<KEY> of the service, the container or the shell sets a key that the file sets too.
> Remove one of the two; the variable takes precedence. `statsd-relay config show` has the origin of each value.
> In an image or a unit of your own, STATSD_RELAY_DEFAULT_<TABLE>_<KEY> sets a default, which the file overrides.

RLY112
? The machine reaches the Internet through a proxy, and its variables are set for every program.
> If requests need the proxy: [cloud] proxy = "http://HOST:PORT". Variables are not used, so that a request, which
  carries a signature, goes where the configuration says.
> If requests need no proxy, the warning has no effect; unset the variable for this process to silence it.

RLY120
? The key was disabled or deleted, or may not write to Cloud Monitor.
? Secret and access key do not belong together, or one of them was cut.
? The clock of this machine is wrong: a signature is valid for minutes only. The message has the difference.
> Nothing is lost meanwhile: requests wait, and the files of credentials are read again every 5 s.
> Compare the key in JD Cloud's console with the start line, which names the origin of the key.
> If the clock differs, synchronise it: `timedatectl`, see RLY122.

RLY121
? The file with the secret key has a mode such as 0644.
? In Kubernetes, a Secret is mounted with the default mode.
> chmod 600 FILE, owned by the relay's user.
> In Kubernetes: defaultMode: 0400 at the volume, and fsGroup or runAsUser for the relay.

RLY122
? No time service runs, or the machine woke from a snapshot or from suspension.
> `timedatectl set-ntp true`, or start chronyd; in a virtual machine, check the host's clock.
> Windows follow this clock: if it is wrong, points land in the wrong minute, or are refused.

RLY123
? The clock was ahead, and windows of that time were closed: their ids are never used again.
? The state directory was used on a machine whose clock was ahead.
> Nothing needs to be done: samples gather in the named window, which is sent at its end. The relay is not ready
  until then.
> Moving `spool.db` away makes the relay start at once, but gives the committed minutes a second value.

RLY124
? A time service set the clock; a small step after a start or a suspension is normal.
? The clock was set by hand, or a virtual machine was moved.
> The open window closes or stays open, and no window is sent twice; one that a wrong clock closed keeps its minute.
> Batches are dropped for their age only once the cloud's Date agrees, or the clock was steady for a minute.

RLY131
? An earlier rule has a wider pattern: only the first rule that matches a name applies.
? Two rules have the same pattern.
> Put the narrow rule before the wide one, or remove it; the message has the number of the wide one.
> A rule for one type, such as type = "timer", leaves the names of the other types to later rules.

RLY132
? A star beside other text in a part, as in web*: in match a star is a whole part.
? A template has $3, and the pattern has two captures; or it has a $ that is not a capture.
? A regex with a bracket that is not closed, or with look-around or a back-reference, which no rule supports.
> For pieces of a part use regex; the fix of the message has the regex that the glob would be.
> In match each star is a capture, in regex each group in brackets is one. They are numbered from 1.

RLY133
? The relay was installed without the extra [re2]; the image has it.
> `pip install 'statsd-relay[re2]'`: the time of its engine is linear in the name, for any regex.
> Where whole parts between dots are meant, match = "web.*.count" needs no regex.

RLY140
? The old file computes a value: require(...), process.env, a function. Such a file is read and never executed.
? The old file has an option of a back end or plug-in that the daemon itself does not know.
? A pattern, a unit conversion or a filter that no [[rule]] can express; or one that `check` would report.
> Read the lines of the report that begin with "by hand": each has its place and what was written instead.
> A setting that could not be converted is a comment in the result. `statsd-relay check` finds no error in the result.
> deploy/MIGRATING.md has every option of the four daemons.

RLY201
? net.core.rmem_max is smaller than [listen] receive_buffer; its default on Linux is 208 KiB.
> sysctl -w net.core.rmem_max=8388608, and the same line in /etc/sysctl.d. For a container, on its host.
> Or give the process CAP_NET_ADMIN, or let systemd open the socket with ReceiveBuffer=8M.
> Or set a smaller buffer: the warning says how many milliseconds a restart may last with the granted one.

RLY202
? Bursts exceed the receive buffer; see RLY201 first.
? One core is not enough for the traffic: many small packets cost more than a few full ones.
? The process was stopped for long, by a debugger, a suspension or a limit on its CPU time.
> Enlarge the buffer: net.core.rmem_max and [listen] receive_buffer.
> Let clients gather lines: a packet of 1,400 bytes costs little more than one of 20.
> Raise the CPU limit of the container, or [listen] readers where more than four cores are free.
> `relay_receive_queue_bytes` shows how full the queue is, `relay_kernel_drops_total` how much was lost.

RLY203
? Clients send to another port or address: the finding counts packets that came for closed ports of this machine.
? In a container, the port is not published, or for TCP only: `-p 8125:8125/udp`.
? A firewall, or an entry of connection tracking that leads to an earlier container, takes the packets.
? No application has sent anything yet.
> Compare the client's host and port with [listen] udp; the default is loopback only: other machines cannot reach it.
> `statsd-relay send test:1|c` goes the way of a client on this machine.
> In Kubernetes, packets to a pod that was replaced may follow a stale entry: restart the client.

RLY204
? The applications were stopped, or send to another address since a change.
? The network between them and this machine is interrupted, or a firewall was changed.
> Look at an application: which host and port does its client use?
> `statsd-relay send test:1|c` shows whether this relay receives.

RLY205
? The limit of open files is low: `ulimit -n` in a shell, --ulimit nofile of a container, LimitNOFILE of a unit.
? More clients are connected than [listen] stream_connections accepts, or connections are never closed.
? [listen] stream_idle is set, and a client was silent for longer; or a client sent a line beyond line_limit.
> At the limit the connection that is idle longest is closed; a client loses at most what it wrote into that one.
> Raise the hard limit; the relay raises the soft one by itself. Of every 1,000, it keeps about 100 for itself.
> Or set [listen] stream_connections to the number in the warning, which silences it.

RLY301
? A client sends something else to this port, or formats numbers by its locale (1,5 for 1.5).
? A name or a tag has a colon, a bar or a line feed in it.
? A line has an unknown type; the known ones are c, g, ms, h, d and s.
> The warning shows one line of each reason with a caret, and its sender.
> `statsd-relay explain LINE` traces any line; a bad line does not affect the others of its packet.
> `relay_rejected_lines_total` counts by reason. In a log, further ones of a reason are only counted.

RLY302
? Names with blanks, `/` or `-`, which become `_`, or other characters of ASCII, which are dropped.
? Tag values with any of these: each becomes `_`.
? Characters beyond ASCII: a dotted part with one becomes `xn__` and its Punycode.
> The warning shows one metric as received and as sent. Names that become equal are added up.
> `statsd-relay explain NAME` shows what a name becomes.
> Nothing needs to be done. With [listen] names = "strict" such samples are dropped instead.

RLY303
? A series has more than five tags with `host`, or more than 255 bytes of keys and values.
> The warning names one metric and its removed tags.
> `statsd-relay explain LINE` shows which were kept: `host` first, then a rule's, the line's by key, and [tags].
> Name the tags to keep in the keep_tags of a [[rule]], or the others in its drop_tags; or send fewer.

RLY304
? A gauge below zero in a client that knows unsigned numbers only: -1 comes as 18446744073709551615.
? A sum that grew too large, as sum_squares of large timers does; or a client that sends garbage.
> The warning names a metric, `statsd-relay explain LINE` shows what is sent, `relay_clamped_values_total` counts.
> Send the value in a larger unit (seconds instead of nanoseconds), or leave the statistic out ([window] timer_metrics).

RLY305
? The reason is in the finding: too_old and too_far_ahead are wrong times of a sender, late_gauge is a gauge of a window
  that is closed, no_legal_name is a name without a legal character.
? name_collision: two metrics have one name after their characters were changed.
? stop_without_state: the relay was stopped without a state directory, or while the disk refused.
> `relay_dropped_samples_total` counts by reason; what a rule drops is wanted, and is no finding.
> For times, check the clock of the sender. For names, `statsd-relay explain LINE` shows what a name becomes.

RLY310
? A tag with an id of a user, request or session in it; the warning names the tag and counts its values.
? Names with such an id in them: the warning shows the part before it.
? A fleet that has outgrown [limits] series or series_per_metric.
> Remove the id in the application, or by a [[rule]]: match the metric, and drop_tags = ["TAG"]; or, for names,
  match = "user.*.logins", metric = "user.logins". Totals stay right meanwhile: surplus series are added up in
  one series of their metric, with the tag overflow=true.
> New names that arrive faster than they can be resolved have no metric yet: their samples are added up in
  `statsd_relay.overflow.CLASS` (counter, timer, gauge, set; the prefix is [telemetry] prefix) and counted in
  `relay_unnamed_samples_total`: alarm on any. The warning names the sender.
> If all of them are wanted, raise [limits] series, series_per_metric and memory; each series costs a point a minute
  of the cloud's quota.

RLY311
? A tag with an id of a user, request or session in it: each value is a series of its own.
? A new release of an application with many more metrics.
> Remove the tag in the application, or by a [[rule]] with drop_tags: the totals stay the same.
> If all series are wanted, raise [limits] series or series_per_metric, or [cloud] requests_per_minute, before the
  time in the finding is over.

RLY401
? Other relays use the same access key: about 1,000 requests a minute are allowed for all of them.
? More series than the quota allows: 50 points fit into a request.
> Nothing needs to be done for a short time: senders pause for as long as the cloud asks, then find the rate by
  themselves; nothing is dropped.
> Ask JD Cloud for a higher quota, give each fleet an access key of its own, or send fewer series.
> Lower [cloud] requests_per_minute to this relay's share, so that others get theirs.

RLY402
? A point breaks a rule of the service that this relay does not know of; the warning has the cloud's words.
? Every point is refused: a setting is wrong, such as the region, the namespace or the type of points.
? The cloud lists a point that was not sent, one point twice, or one that fits several points. Such an entry refuses no
  point, and is counted in relay_unmatched_refusals_total; if the list has no other entry, the request is sent again.
> `statsd-relay dead list` and `dead show`: each refused point with the cloud's own words.
> While every point is refused, all are kept and one request a minute tries: correct the setting to continue. If the
  words are about the type, try [cloud] output = "raw".
> `statsd-relay dead replay` sends them again, once each, when the cause is gone.

RLY403
? Each timer sends one point for itself and one for each percentile. With percentile_style = "statsd" it sends two
  more, and four for each percentile. 50 points fit into a request.
? [cloud] requests_per_minute is lower than the quota of the key.
> Send fewer series or percentiles ([window] percentiles), or raise [cloud] requests_per_minute if the quota is
  higher.
> Meanwhile sums, counts and averages are complete; percentiles that are left out are counted as percentile_quota.

RLY404
? [cloud] endpoint has a path or a host that the service does not have, or the region is misspelt.
? A proxy answers in the cloud's place.
> Compare [cloud] endpoint and region with `statsd-relay config show`; the default endpoint is right for every public
  region.
> Read the answer in the warning: it is the server's own text.
> Nothing is lost meanwhile: requests wait, and one a minute tries.

RLY405
? dns: the host of [cloud] endpoint cannot be looked up. connect: a firewall, or no route. timeout: packets vanish.
? tls: a proxy inspects the traffic, or [cloud] ca_file lacks its authority; or this machine's clock is years off.
? proxy: [cloud] proxy does not answer, or refuses. reset, 5xx: the service itself is in trouble.
> Nothing is lost meanwhile: requests wait on disk, and are sent by themselves, the newest window first.
> `curl -sv ENDPOINT` from this machine, as the relay's user, shows whether the way is open.
> If requests need a proxy: [cloud] proxy = "http://HOST:PORT"; HTTPS_PROXY is not used (RLY112).
> `statsd-relay spool stat` shows how much waits, and [spool] max how much fits.

RLY406
? More points are made than [cloud] requests_per_minute, or the quota of the key, lets out (RLY401).
? The way to the cloud is slow: each request waits long for its answer, and concurrency = 8 are not enough.
? After an outage: what waited is being sent; then the number falls by itself.
> Nothing is lost while the spool has room; the newest window goes first.
> Send fewer series, or raise [cloud] requests_per_minute if the quota is higher, or [cloud] concurrency.

RLY407
? spool_full: the cloud took nothing for so long that [spool] max was reached. too_old: older than [cloud] max_age.
? stop_without_state: without a state directory, or with a disk that refused, points in memory end with the process.
? ambiguous: on_ambiguous = "drop" gave up requests without an answer. spool_damaged: a file was damaged.
? percentile_quota: see RLY403. name_collision: two series have one name at the cloud.
> `relay_dropped_points_total` counts by reason. Those points are lost; the finding says since when.
> Raise [spool] max, and remove the cause why nothing was delivered: the other findings name it.

RLY408
? Many points were refused, and [spool] dead_letters has room for the newest only.
? The disk refuses the file of dead letters (RLY411).
> Remove the cause of the refusals first: `statsd-relay dead list` has the cloud's words.
> Raise [spool] dead_letters; `statsd-relay dead drop` makes room.

RLY410
? The cloud was not reachable or refused credentials for hours: see what other codes the log has.
? More points are produced than the quota of the cloud allows (RLY401).
> Repair the connection to the cloud: waiting requests are then sent, the newest window first.
> Raise [spool] max, if the disk has room; `statsd-relay spool stat` shows what waits.
> When it is full, whole oldest windows are dropped, and counted as spool_full.

RLY411
? The disk of the state directory is full or read-only, reports errors, or needs over 2 s for a write.
? The quota of the user or of the container is used up.
? The directory or a file in it was removed, renamed or replaced while the relay ran, or its volume is not mounted.
? Reason `unusable`: since a restart of the worker the directory cannot be used; RLY101, RLY104 or RLY105 in `detail`.
> Make room, or repair the disk: windows go on from memory, and are written within seconds of its recovery.
> A window that is partly on that disk waits for it: sent from memory, it would be sent a second time after a restart.
> Until then do not kill the relay: an orderly stop sends what it can, a crash loses what is not sent.
> Set an alarm on `relay_durability_degraded`.

RLY412
? The machine lost its power or its disk while a file was written.
? The state directory was used by a newer release of the relay.
> Nothing needs to be done: what could be read is used, the rest is kept under the name in the warning.
> `statsd-relay spool verify` reads everything that is there now.
> Inspect the file that was set aside, then remove it; after a downgrade, go back to the newer release to send
  its content.

RLY413
? The state directory, or the disk it is on, was copied from another machine or container.
? [tags] host was changed, or the host has another name since the last run.
> Nothing needs to be done: requests that wait are sent as they are, the open window of the other host is dropped and
  counted (other_host), and its gauges do not repeat here.
> Give each relay a state directory of its own; one that moves to another machine keeps its [tags] host.

RLY501
? The worker was killed, most often because a limit on memory was reached: see `dmesg` or the container's events.
? A mistake of the relay itself: the log has its traceback.
? The supervisor was killed; its worker then stops in an orderly way.
> The next worker goes on with the same sockets and the window of the last checkpoint; at most the last second is
  lost.
> If it recurs: raise the memory limit, or lower [limits] memory and series.
> Please report a traceback.

RLY502
? The new file has a mistake, or changes a key that only a restart can change.
? Without a state directory, or while writes to its disk fail (RLY411), the worker is not replaced: its window would
  be lost.
? The program on disk does not start: an installation is half done, or a module of it is broken.
? The file has changed since it was accepted, and a worker has died: the next worker uses what was accepted.
> Read the reasons in the warning, or run `statsd-relay check FILE`; then reload again.
> For keys that need a restart, restart: the open window and the sockets' queues are not lost with a state directory
  and socket activation.
> `relay_config_last_reload_successful` is 0 until a reload works.

RLY503
? There are so many new series that naming and encoding them lasts longer than 2 s, or than a tenth of the window.
? A disk that stalls, or a machine without CPU time for this process.
> The next window began at its edge meanwhile: every sample is in the window in which it was received.
> `relay_window_late_seconds` and `relay_windows_closing` show how far behind it is. While four such windows
  wait, the next one has only the overflow series of each class, `PREFIX.overflow.CLASS`.

RLY504
? A mistake of the relay itself: no input and no answer of the cloud can do this.
> Data still flows. Please report it, with `relay_ledger_imbalance` and the log since the time of the finding.
> A restart begins new books.

RLY505
? The command `health down` of the text console was given, to take this relay out of a proxy's rotation.
> `health up` on the admin port ends it: `printf 'health up\nquit\n' | nc 127.0.0.1 8126`.

RLY900
? The relay was installed without a C compiler, so the native part could not be built.
> Install gcc and the headers of Python, then `pip install --force-reinstall --no-cache-dir statsd-relay`. The image
  has it.
> Or use the slower hot path, [listen] hotpath = "python": the same results for 4 to 12 times the CPU time per line.
"""


class Page(NamedTuple):
    """The page of one code."""

    causes: list[str]
    remedies: list[str]


def pages() -> dict[str, Page]:
    """Return the page of each code."""
    found: dict[str, Page] = {}
    for page in _PAGES.strip().split("\n\n"):
        code, *entries = page.replace("\n  ", " ").split("\n")
        causes, remedies = ([entry[2:] for entry in entries if entry.startswith(mark)] for mark in ("? ", "> "))
        found[code] = Page(causes, remedies)
    return found
