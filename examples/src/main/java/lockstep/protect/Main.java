package lockstep.protect;

import lockstep.api.Client;
import lockstep.qmp.Backoff;
import lockstep.qmp.QmpAddress;
import lockstep.qmp.QmpException;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** The program {@code lockstep-colo}. */
public final class Main {
    private static final Duration CONNECT = Duration.ofSeconds(10);

    /** What the user did wrong. */
    private static final class UsageException extends Exception {
        private static final long serialVersionUID = 1L;

        UsageException(String message) {
            super(message);
        }
    }

    private final Map<Setting, String> settings = new EnumMap<>(Setting.class);
    private boolean incremental;
    private boolean endedInOrder;
    private double interval = 1;
    private final List<QmpAddress> addresses = new ArrayList<>();

    private Main() {}

    /** Runs the program and ends the process with its status. */
    public static void main(String[] arguments) {
        int status;
        try {
            status = new Main().run(List.of(arguments));
        } catch (UsageException e) {
            status = complain(e, 2);
        } catch (QmpException e) {
            status = complain(e, 1);
        } catch (IOException e) {
            status = complain(e, 2);
        }
        System.exit(status);
    }

    private static int complain(Exception e, int status) {
        System.err.println(
                System.getProperty("lockstep.argv0", "lockstep-colo") + ": " + e.getMessage());
        return status;
    }

    private static String help() {
        StringBuilder help =
                new StringBuilder(
                        """
                        Usage: lockstep-colo status ADDRESS [ADDRESS]
                               lockstep-colo watch [--interval SECONDS] ADDRESS [ADDRESS]
                               lockstep-colo protect [OPTION]... SURVIVOR SECONDARY
                        Shows the sides of a COLO pair, or protects the side that is left with a new secondary.

                        ADDRESS is that of a QMP monitor: PATH, unix:PATH, HOST:PORT or tcp:HOST:PORT.
                        status shows both sides once, watch again and again until it is interrupted.
                        protect makes SURVIVOR, whose guest runs on after a failover, the primary of SECONDARY, which
                        was started with -incoming and waits: it copies all disks while the guest runs, sets up
                        comparison and filters for all cards, migrates, and begins replication. If a step fails,
                        what was made is taken back. Options, with the values of the COLO scripts where they are not given:

                        """);
        for (Setting setting : Setting.values()) {
            help.append(setting.help());
        }
        help.append(
                """

                  --incremental            SECONDARY has the disk that the lost secondary left, unchanged, at the
                                           same address, and has not taken over itself: copy only what may differ
                  --primary-ended-in-order with that: SECONDARY has the disk of the primary that SURVIVOR took over
                                           from, which was ended by quit while the pair was whole, and did not crash
                """);
        return help.append(
                        """

                        Exit status: 0 when all went well, 1 when a machine refused something, 2 for wrong usage or a
                        lost connection.
                        """)
                .toString();
    }

    private int run(List<String> arguments) throws UsageException, QmpException, IOException {
        if (arguments.contains("--help")) {
            System.out.print(help());
            return 0;
        }
        if (arguments.isEmpty()) {
            throw new UsageException("say status, watch or protect; --help tells more");
        }
        String verb = arguments.getFirst();
        if (!List.of("status", "watch", "protect").contains(verb)) {
            throw new UsageException("'" + verb + "' is none of status, watch and protect");
        }
        parse(verb, arguments.subList(1, arguments.size()));
        boolean watches = verb.equals("watch");
        List<Client> machines = new ArrayList<>();
        try {
            for (QmpAddress address : addresses) {
                machines.add(watches ? watch(address) : connect(address));
            }
            if (verb.equals("protect")) {
                Protection protection =
                        new Protection(
                                machines.getFirst(),
                                machines.getLast(),
                                settings,
                                patience(),
                                extent(),
                                System.err::println);
                Set<String> leftOut = protection.run();
                System.out.println(
                        "protected"
                                + (leftOut.isEmpty()
                                        ? ""
                                        : ", but not " + String.join(", ", leftOut)));
            } else {
                show(watches, machines);
            }
        } finally {
            machines.forEach(Client::close);
        }
        return 0;
    }

    private Duration patience() throws UsageException {
        double patience =
                seconds(settings.getOrDefault(Setting.PATIENCE, Setting.PATIENCE.standard));
        return Duration.ofMillis((long) (patience * 1000));
    }

    private Protection.Extent extent() {
        if (!incremental) {
            return Protection.Extent.WHOLE;
        }
        return endedInOrder ? Protection.Extent.ENDED_PRIMARY : Protection.Extent.LOST_SECONDARY;
    }

    private void parse(String verb, List<String> words) throws UsageException {
        for (int i = 0; i < words.size(); i++) {
            String word = words.get(i);
            if (!word.startsWith("-")) {
                addresses.add(address(word));
            } else if (verb.equals("protect") && word.equals("--incremental")) {
                incremental = true;
            } else if (verb.equals("protect") && word.equals("--primary-ended-in-order")) {
                endedInOrder = true;
            } else {
                int equals = word.indexOf('=');
                String option = equals < 0 ? word : word.substring(0, equals);
                if (equals < 0 && i + 1 == words.size()) {
                    throw new UsageException("option " + option + " needs a value");
                }
                option(verb, option, equals < 0 ? words.get(++i) : word.substring(equals + 1));
            }
        }
        if (verb.equals("protect") && addresses.size() != 2) {
            throw new UsageException(
                    "protect needs the addresses of the survivor and the secondary");
        }
        if (endedInOrder && !incremental) {
            throw new UsageException("--primary-ended-in-order goes with --incremental");
        }
        if (addresses.isEmpty() || addresses.size() > 2) {
            throw new UsageException(verb + " needs one address or two");
        }
    }

    private void option(String verb, String option, String value) throws UsageException {
        if (verb.equals("watch") && option.equals("--interval")) {
            interval = seconds(value);
            return;
        }
        for (Setting setting : Setting.values()) {
            if (verb.equals("protect") && setting.option.equals(option)) {
                settings.put(setting, value);
                return;
            }
        }
        throw new UsageException(verb + " has no option " + option);
    }

    private static double seconds(String text) throws UsageException {
        try {
            double seconds = Double.parseDouble(text);
            if (seconds > 0 && seconds < 1e6) {
                return seconds;
            }
        } catch (NumberFormatException e) {
            throw new UsageException("'" + text + "' is not a number of seconds");
        }
        throw new UsageException("'" + text + "' is not a number of seconds");
    }

    private static QmpAddress address(String text) throws UsageException {
        try {
            return QmpAddress.parse(text);
        } catch (IllegalArgumentException e) {
            throw new UsageException(String.valueOf(e.getMessage()));
        }
    }

    private static Client connect(QmpAddress address) throws IOException {
        return new Client(Client.builder(address).connectTimeout(CONNECT).connect());
    }

    /** One that is looked for again when it is lost: a failover is what watching is for. */
    private static Client watch(QmpAddress address) {
        return new Client(
                Client.builder(address).connectTimeout(CONNECT).reconnect(Backoff.DEFAULT).start());
    }

    private void show(boolean again, List<Client> machines) throws QmpException, IOException {
        List<Report> reports = new ArrayList<>();
        for (int i = 0; i < machines.size(); i++) {
            reports.add(new Report(addresses.get(i).toString(), machines.get(i)));
        }
        boolean terminal = Boolean.getBoolean("lockstep.terminal");
        do {
            StringBuilder text = new StringBuilder(again && terminal ? "\033[H\033[J" : "");
            for (Report report : reports) {
                text.append(again ? report.showAnyway() : report.show());
            }
            System.out.print(text);
            System.out.flush();
            if (again) {
                LockSupport.parkNanos((long) (interval * TimeUnit.SECONDS.toNanos(1)));
            }
        } while (again && !System.out.checkError());
    }
}
