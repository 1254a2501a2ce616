package lockstep.block.nbd;

/** Numbers of the NBD protocol, named as in its specification. */
public final class Nbd {
    public static final long INIT_MAGIC = 0x4e42444d41474943L;
    public static final long OPTION_MAGIC = 0x49484156454F5054L;
    public static final long OLDSTYLE_MAGIC = 0x00420281861253L;
    public static final long OPTION_REPLY_MAGIC = 0x0003e889045565a9L;
    public static final int REQUEST_MAGIC = 0x25609513;
    public static final int SIMPLE_REPLY_MAGIC = 0x67446698;
    public static final int CHUNK_MAGIC = 0x668e33ef;
    public static final int EXTENDED_REQUEST_MAGIC = 0x21e41c71;
    public static final int EXTENDED_REPLY_MAGIC = 0x6e8a278c;

    public static final int FLAG_FIXED_NEWSTYLE = 1;
    public static final int FLAG_NO_ZEROES = 2;

    public static final int OPT_EXPORT_NAME = 1;
    public static final int OPT_ABORT = 2;
    public static final int OPT_LIST = 3;
    public static final int OPT_STARTTLS = 5;
    public static final int OPT_INFO = 6;
    public static final int OPT_GO = 7;
    public static final int OPT_STRUCTURED_REPLY = 8;
    public static final int OPT_LIST_META_CONTEXT = 9;
    public static final int OPT_SET_META_CONTEXT = 10;
    public static final int OPT_EXTENDED_HEADERS = 11;

    public static final int REP_ACK = 1;
    public static final int REP_SERVER = 2;
    public static final int REP_INFO = 3;
    public static final int REP_META_CONTEXT = 4;
    public static final int REP_ERROR = 1 << 31;
    public static final int REP_ERR_UNSUP = REP_ERROR | 1;
    public static final int REP_ERR_POLICY = REP_ERROR | 2;
    public static final int REP_ERR_INVALID = REP_ERROR | 3;
    public static final int REP_ERR_TLS_REQD = REP_ERROR | 5;
    public static final int REP_ERR_UNKNOWN = REP_ERROR | 6;
    public static final int REP_ERR_TOO_BIG = REP_ERROR | 9;
    public static final int REP_ERR_EXT_HEADER_REQD = REP_ERROR | 10;

    public static final int INFO_EXPORT = 0;
    public static final int INFO_NAME = 1;
    public static final int INFO_DESCRIPTION = 2;
    public static final int INFO_BLOCK_SIZE = 3;

    public static final int TRANSMIT_HAS_FLAGS = 1;
    public static final int TRANSMIT_READ_ONLY = 2;
    public static final int TRANSMIT_FLUSH = 4;
    public static final int TRANSMIT_FUA = 8;
    public static final int TRANSMIT_TRIM = 32;
    public static final int TRANSMIT_WRITE_ZEROES = 64;
    public static final int TRANSMIT_DF = 128;
    public static final int TRANSMIT_MULTI_CONN = 256;
    public static final int TRANSMIT_CACHE = 1024;
    public static final int TRANSMIT_FAST_ZERO = 2048;
    public static final int TRANSMIT_BLOCK_STATUS_PAYLOAD = 4096;

    public static final int CMD_READ = 0;
    public static final int CMD_WRITE = 1;
    public static final int CMD_DISC = 2;
    public static final int CMD_FLUSH = 3;
    public static final int CMD_TRIM = 4;
    public static final int CMD_CACHE = 5;
    public static final int CMD_WRITE_ZEROES = 6;
    public static final int CMD_BLOCK_STATUS = 7;

    public static final int CMD_FLAG_FUA = 1;
    public static final int CMD_FLAG_NO_HOLE = 2;
    public static final int CMD_FLAG_DF = 4;
    public static final int CMD_FLAG_REQ_ONE = 8;
    public static final int CMD_FLAG_FAST_ZERO = 16;

    /** Of an extended request: its length is that of a payload behind it. */
    public static final int CMD_FLAG_PAYLOAD_LEN = 32;

    public static final int CHUNK_DONE = 1;
    public static final int CHUNK_NONE = 0;
    public static final int CHUNK_OFFSET_DATA = 1;
    public static final int CHUNK_OFFSET_HOLE = 2;
    public static final int CHUNK_BLOCK_STATUS = 5;
    public static final int CHUNK_BLOCK_STATUS_EXT = 6;
    public static final int CHUNK_ERROR = 1 << 15 | 1;
    public static final int CHUNK_ERROR_OFFSET = 1 << 15 | 2;

    public static final int STATE_HOLE = 1;
    public static final int STATE_ZERO = 2;

    /** In a context of a bitmap. */
    public static final int STATE_DIRTY = 1;

    public static final String BASE_ALLOCATION = "base:allocation";

    /** Of QEMU: the flags are the number of the layer that has the bytes, 0 for none. */
    public static final String ALLOCATION_DEPTH = "qemu:allocation-depth";

    /** Of QEMU: the bitmap's name follows. */
    public static final String DIRTY_BITMAP = "qemu:dirty-bitmap:";

    /** The most bytes a read or write may carry. */
    public static final int PAYLOAD_MAX = 32 << 20;

    /** The longest name or description. */
    public static final int STRING_MAX = 4096;

    public static final int DEFAULT_PORT = 10809;

    private Nbd() {}
}
