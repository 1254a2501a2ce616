package lockstep.protect;

/** How a pair is connected and named; the defaults are those of the COLO scripts. */
enum Setting {
    HOST("--host", "HOST", "127.0.0.1", "where the survivor reaches the new secondary"),
    NBD_PORT("--nbd-port", "PORT", "9999", "of the new secondary's NBD server"),
    MIGRATION_PORT(
            "--migration-port", "PORT", "9998", "where the new secondary waits for the migration"),
    LISTEN(
            "--listen",
            "HOST",
            "0.0.0.0",
            "where the survivor waits for the new secondary's packets"),
    MIRROR_PORT("--mirror-port", "PORT", "9003", "of the first card's input there"),
    COMPARE_PORT("--compare-port", "PORT", "9004", "of its output on the secondary"),
    DISK("--disk", "ID,...", "", "the survivor's quorums (all disks that can be written to)"),
    EXPORT(
            "--export",
            "NAME,...",
            "",
            "the new secondary's disks for them (below its disks of the same names)"),
    NETDEV("--netdev", "ID,...", "", "the survivor's network backends (those of all cards)"),
    PATIENCE("--patience", "SECONDS", "10", "how long anything may go without getting on"),
    TLS_CREDS(
            "--tls-creds", "ID", "", "the survivor's TLS credentials as a client: disk, migration"),
    TLS_CREDS_SERVER(
            "--tls-creds-server", "ID", "", "the survivor's TLS credentials as a server: packets"),
    LEAVE_OUT(
            "--leave-out",
            "ID,...",
            "",
            "the survivor's other disks and network backends, which are not protected");

    final String option;
    final String value;
    final String standard;
    final String meaning;

    Setting(String option, String value, String standard, String meaning) {
        this.option = option;
        this.value = value;
        this.standard = standard;
        this.meaning = meaning;
    }

    /** Its line of the help. */
    String help() {
        return "  %-24s %s%s%n"
                .formatted(
                        option + " " + value,
                        meaning,
                        standard.isEmpty() ? "" : " (" + standard + ")");
    }
}
