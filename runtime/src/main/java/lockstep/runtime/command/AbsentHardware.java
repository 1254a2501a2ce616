package lockstep.runtime.command;

import lockstep.api.ACPIOSTInfo;
import lockstep.api.AbsentCommands;
import lockstep.api.AcpiCommands;
import lockstep.api.DirtyRateInfo;
import lockstep.api.DirtyRateMeasureMode;
import lockstep.api.DirtyRateStatus;
import lockstep.api.DumpGuestMemoryCapability;
import lockstep.api.DumpQueryResult;
import lockstep.api.DumpStatus;
import lockstep.api.EvtchnInfo;
import lockstep.api.FirmwareLog;
import lockstep.api.HvBalloonInfo;
import lockstep.api.MiscI386Commands;
import lockstep.api.PRManagerInfo;
import lockstep.api.QCryptodevInfo;
import lockstep.api.QueryDirtyRateArguments;
import lockstep.api.QueryFirmwareLogArguments;
import lockstep.api.QueryStatsSchemasArguments;
import lockstep.api.ReplayInfo;
import lockstep.api.ReplayMode;
import lockstep.api.SevCapability;
import lockstep.api.SevInfo;
import lockstep.api.SgxInfo;
import lockstep.api.StatsCommands;
import lockstep.api.StatsFilter;
import lockstep.api.StatsResult;
import lockstep.api.StatsSchema;
import lockstep.api.TPMInfo;
import lockstep.api.TimeUnit;
import lockstep.api.TpmCommands;
import lockstep.api.TpmModel;
import lockstep.api.TpmType;
import lockstep.qmp.QmpException;
import lockstep.runtime.spi.Vmm;

import java.util.List;

/**
 * The commands about parts that no machine here has. They are there because management programs ask;
 * the answers are those of a QEMU that was built without these parts.
 */
final class AbsentHardware
        implements AbsentCommands, AcpiCommands, MiscI386Commands, StatsCommands, TpmCommands {
    private final Vmm vmm;

    AbsentHardware(Vmm vmm) {
        this.vmm = vmm;
    }

    /** Boards have ACPI, but no places that it could tell something about. */
    @Override
    public List<ACPIOSTInfo> queryAcpiOspmStatus() throws QmpException {
        if (vmm.machine() == null) {
            throw new QmpException("command is not supported, missing ACPI device");
        }
        return List.of();
    }

    private static QmpException noSev() {
        return new QmpException("SEV is not available in this QEMU");
    }

    @Override
    public SevInfo querySev() throws QmpException {
        throw noSev();
    }

    @Override
    public SevCapability querySevCapabilities() throws QmpException {
        throw noSev();
    }

    private static QmpException noSgx() {
        return new QmpException("SGX support is not compiled in");
    }

    @Override
    public SgxInfo querySgx() throws QmpException {
        throw noSgx();
    }

    @Override
    public SgxInfo querySgxCapabilities() throws QmpException {
        throw noSgx();
    }

    /** Nothing to forget: interrupts the guest was late for are never sent again. */
    @Override
    public void rtcResetReinjection() {}

    @Override
    public List<StatsResult> queryStats(StatsFilter arguments) {
        return List.of();
    }

    @Override
    public List<StatsSchema> queryStatsSchemas(QueryStatsSchemasArguments arguments) {
        return List.of();
    }

    @Override
    public List<TpmModel> queryTpmModels() {
        return List.of();
    }

    @Override
    public List<TpmType> queryTpmTypes() {
        return List.of();
    }

    @Override
    public List<TPMInfo> queryTpm() {
        return List.of();
    }

    @Override
    public List<QCryptodevInfo> queryCryptodev() {
        return List.of();
    }

    @Override
    public List<PRManagerInfo> queryPrManagers() {
        return List.of();
    }

    @Override
    public ReplayInfo queryReplay() {
        return ReplayInfo.builder().mode(ReplayMode.NONE).icount(0L).build();
    }

    @Override
    public HvBalloonInfo queryHvBalloonStatusReport() throws QmpException {
        throw new QmpException("No hv-balloon device present");
    }

    @Override
    public FirmwareLog queryFirmwareLog(QueryFirmwareLogArguments arguments) throws QmpException {
        throw new QmpException("The firmware keeps no log in memory");
    }

    @Override
    public DumpQueryResult queryDump() {
        return new DumpQueryResult(DumpStatus.NONE, 0, 0);
    }

    @Override
    public DirtyRateInfo queryDirtyRate(QueryDirtyRateArguments arguments) {
        TimeUnit unit = arguments.calcTimeUnit();
        return DirtyRateInfo.builder()
                .status(DirtyRateStatus.UNSTARTED)
                .startTime(0L)
                .calcTime(0L)
                .calcTimeUnit(unit == null ? TimeUnit.SECOND : unit)
                .samplePages(0L)
                .mode(DirtyRateMeasureMode.PAGE_SAMPLING)
                .build();
    }

    @Override
    public List<EvtchnInfo> xenEventList() throws QmpException {
        throw new QmpException("Xen event channel emulation not enabled");
    }

    @Override
    public DumpGuestMemoryCapability queryDumpGuestMemoryCapability() {
        return new DumpGuestMemoryCapability(List.of());
    }
}
