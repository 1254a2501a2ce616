package lockstep.devices.e1000;

/**
 * Registers and descriptor bits of the 82540EM: "PCI/PCI-X Family of Gigabit Ethernet Controllers Software
 * Developer's Manual", chapter 13 (registers), 3.2 and 3.3 (descriptors), 5.6 (EEPROM). Registers are indices
 * of 32-bit words: the offset divided by four.
 */
final class E1000Spec {
    /** Words of register space that travel in the migration stream. */
    static final int REGISTERS = 0x8000;

    static final int CTRL = 0x0000 / 4;
    static final int STATUS = 0x0008 / 4;
    static final int EECD = 0x0010 / 4;
    static final int EERD = 0x0014 / 4;
    static final int CTRL_EXT = 0x0018 / 4;
    static final int MDIC = 0x0020 / 4;
    static final int FCAL = 0x0028 / 4;
    static final int FCAH = 0x002c / 4;
    static final int FCT = 0x0030 / 4;
    static final int VET = 0x0038 / 4;
    static final int ICR = 0x00c0 / 4;
    static final int ITR = 0x00c4 / 4;
    static final int ICS = 0x00c8 / 4;
    static final int IMS = 0x00d0 / 4;
    static final int IMC = 0x00d8 / 4;
    static final int RCTL = 0x0100 / 4;
    static final int FCTTV = 0x0170 / 4;
    static final int TXCW = 0x0178 / 4;
    static final int RXCW = 0x0180 / 4;
    static final int TCTL = 0x0400 / 4;
    static final int TIPG = 0x0410 / 4;
    static final int AIT = 0x0458 / 4;
    static final int LEDCTL = 0x0e00 / 4;
    static final int PBA = 0x1000 / 4;
    static final int FCRTL = 0x2160 / 4;
    static final int FCRTH = 0x2168 / 4;
    static final int RDFH = 0x2410 / 4;
    static final int RDFPC = 0x2430 / 4;
    static final int RDBAL = 0x2800 / 4;
    static final int RDBAH = 0x2804 / 4;
    static final int RDLEN = 0x2808 / 4;
    static final int RDH = 0x2810 / 4;
    static final int RDT = 0x2818 / 4;
    static final int RDTR = 0x2820 / 4;
    static final int RXDCTL = 0x2828 / 4;
    static final int RADV = 0x282c / 4;
    static final int TDFH = 0x3410 / 4;
    static final int TDFPC = 0x3430 / 4;
    static final int TDBAL = 0x3800 / 4;
    static final int TDBAH = 0x3804 / 4;
    static final int TDLEN = 0x3808 / 4;
    static final int TDH = 0x3810 / 4;
    static final int TDT = 0x3818 / 4;
    static final int TIDV = 0x3820 / 4;
    static final int TXDCTL = 0x3828 / 4;
    static final int TADV = 0x382c / 4;
    static final int STATISTICS = 0x4000 / 4;
    static final int MPC = 0x4010 / 4;
    static final int PRC64 = 0x405c / 4;
    static final int GPRC = 0x4074 / 4;
    static final int BPRC = 0x4078 / 4;
    static final int MPRC = 0x407c / 4;
    static final int GPTC = 0x4080 / 4;
    static final int GORCL = 0x4088 / 4;
    static final int GORCH = 0x408c / 4;
    static final int GOTCL = 0x4090 / 4;
    static final int GOTCH = 0x4094 / 4;
    static final int ROC = 0x40ac / 4;
    static final int TORL = 0x40c0 / 4;
    static final int TORH = 0x40c4 / 4;
    static final int TOTL = 0x40c8 / 4;
    static final int TOTH = 0x40cc / 4;
    static final int TPR = 0x40d0 / 4;
    static final int TPT = 0x40d4 / 4;
    static final int PTC64 = 0x40d8 / 4;
    static final int MPTC = 0x40f0 / 4;
    static final int BPTC = 0x40f4 / 4;
    static final int TSCTC = 0x40f8 / 4;
    static final int STATISTICS_END = 0x4100 / 4;
    static final int RXCSUM = 0x5000 / 4;
    static final int MTA = 0x5200 / 4;
    static final int MTA_COUNT = 128;
    static final int RA = 0x5400 / 4;
    static final int RA_COUNT = 32;
    static final int VFTA = 0x5600 / 4;
    static final int VFTA_COUNT = 128;
    static final int WUC = 0x5800 / 4;
    static final int WUFC = 0x5808 / 4;
    static final int WUS = 0x5810 / 4;
    static final int MANC = 0x5820 / 4;
    static final int IPAV = 0x5838 / 4;
    static final int FFLT = 0x5f00 / 4;
    static final int SWSM = 0x5b50 / 4;

    static final int CTRL_SLU = 1 << 6;
    static final int CTRL_SPEED_1000 = 1 << 9;
    static final int CTRL_RST = 1 << 26;
    static final int CTRL_VME = 1 << 30;
    static final int CTRL_PHY_RST = 1 << 31;

    static final int STATUS_LU = 1 << 1;

    static final int EECD_SK = 0x01;
    static final int EECD_CS = 0x02;
    static final int EECD_DI = 0x04;
    static final int EECD_DO = 0x08;
    static final int EECD_FWE = 0x30;
    static final int EECD_REQ = 0x40;
    static final int EECD_GNT = 0x80;
    static final int EECD_PRES = 0x100;

    static final int EERD_START = 0x01;
    static final int EERD_DONE = 0x10;

    static final int MDIC_WRITE = 1 << 26;
    static final int MDIC_READ = 1 << 27;
    static final int MDIC_READY = 1 << 28;
    static final int MDIC_INTERRUPT = 1 << 29;
    static final int MDIC_ERROR = 1 << 30;

    static final int ICR_TXDW = 0x01;
    static final int ICR_TXQE = 0x02;
    static final int ICR_LSC = 0x04;
    static final int ICR_RXDMT0 = 0x10;
    static final int ICR_RXO = 0x40;
    static final int ICR_RXT0 = 0x80;
    static final int ICR_MDAC = 0x200;

    static final int RCTL_EN = 1 << 1;
    static final int RCTL_SBP = 1 << 2;
    static final int RCTL_UPE = 1 << 3;
    static final int RCTL_MPE = 1 << 4;
    static final int RCTL_LPE = 1 << 5;
    static final int RCTL_BAM = 1 << 15;
    static final int RCTL_VFE = 1 << 18;
    static final int RCTL_BSEX = 1 << 25;
    static final int RCTL_SECRC = 1 << 26;

    static final int TCTL_EN = 1 << 1;

    static final int RAH_VALID = 1 << 31;

    // Receive descriptor status.
    static final int RXD_DD = 0x01;
    static final int RXD_EOP = 0x02;
    static final int RXD_IXSM = 0x04;
    static final int RXD_VP = 0x08;

    // Transmit descriptor, third word.
    static final int TXD_DATA = 1 << 20;
    static final int TXD_EOP = 1 << 24;
    static final int TXD_TSE = 1 << 26;
    static final int TXD_RS = 1 << 27;
    static final int TXD_DEXT = 1 << 29;
    static final int TXD_VLE = 1 << 30;
    static final int TXD_IDE = 1 << 31;

    /** Context descriptor: the packet is TCP, over IPv4. */
    static final int TXC_TCP = 1 << 24;

    static final int TXC_IP = 1 << 25;

    /** Fourth word: done; the errors that are cleared with it. */
    static final int TXD_DD = 0x01;

    static final int TXD_ERRORS = 0x0e;

    /** Options of a data descriptor: insert the IP or the TCP/UDP checksum. */
    static final int POPTS_IXSM = 0x01;

    static final int POPTS_TXSM = 0x02;

    static final int DESCRIPTOR = 16;

    private E1000Spec() {}
}
