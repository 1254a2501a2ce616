package lockstep.runtime.trace;

import java.util.List;

/** The names that exist from the start, in QEMU's order of declaration: migration, then net. */
final class TraceNames {
    static final List<String> MIGRATION =
            List.of(
                    "migration_bitmap_sync_start",
                    "migration_bitmap_sync_end",
                    "migration_bitmap_clear_dirty",
                    "migration_throttle",
                    "migration_dirty_limit_guest",
                    "migrate_set_state",
                    "migration_cleanup",
                    "migrate_error",
                    "migration_cancel",
                    "migrate_handle_rp_req_pages",
                    "migrate_pending_exact",
                    "migrate_pending_estimate",
                    "migrate_send_rp_message",
                    "migrate_send_rp_recv_bitmap",
                    "migration_completion_file_err",
                    "migration_completion_vm_stop",
                    "migration_completion_postcopy_end",
                    "migration_completion_postcopy_end_after_complete",
                    "migration_rate_limit_pre",
                    "migration_rate_limit_post",
                    "migration_return_path_end_before",
                    "migration_return_path_end_after",
                    "migration_thread_after_loop",
                    "migration_thread_file_err",
                    "migration_thread_setup_complete",
                    "migration_thread_low_pending",
                    "migrate_transferred",
                    "migration_precopy_complete",
                    "migration_transferred_bytes",
                    "migration_set_incoming_channel",
                    "migration_set_outgoing_channel",
                    "migrate_state_too_big",
                    "migrate_global_state_post_load",
                    "migrate_global_state_pre_save",
                    "migration_exec_outgoing",
                    "migration_exec_incoming",
                    "migration_fd_outgoing",
                    "migration_fd_incoming",
                    "migration_file_outgoing",
                    "migration_file_incoming",
                    "migration_socket_incoming_accepted",
                    "migration_socket_outgoing_connected",
                    "migration_socket_outgoing_error",
                    "migration_tls_outgoing_handshake_start",
                    "migration_tls_outgoing_handshake_error",
                    "migration_tls_outgoing_handshake_complete",
                    "migration_tls_incoming_handshake_start",
                    "migration_tls_incoming_handshake_error",
                    "migration_tls_incoming_handshake_complete",
                    "migration_block_init_shared",
                    "migration_block_init_full",
                    "migration_block_save_device_dirty",
                    "migration_block_flush_blks",
                    "migration_block_save",
                    "migration_block_save_complete",
                    "migration_block_state_pending",
                    "migration_block_progression",
                    "migration_pagecache_init",
                    "migration_pagecache_insert",
                    "migration_block_activation");

    static final List<String> NET =
            List.of(
                    "colo_proxy_main",
                    "colo_proxy_main_vnet_info",
                    "colo_compare_main",
                    "colo_compare_drop_packet",
                    "colo_compare_udp_miscompare",
                    "colo_compare_icmp_miscompare",
                    "colo_compare_ip_info",
                    "colo_old_packet_check_found",
                    "colo_compare_tcp_info",
                    "colo_filter_rewriter_pkt_info",
                    "colo_filter_rewriter_conn_offset");

    static final List<String> MIGRATION_COLO =
            List.of(
                    "colo_flush_ram_cache_begin",
                    "colo_flush_ram_cache_end",
                    "colo_vm_state_change",
                    "colo_send_message",
                    "colo_receive_message",
                    "colo_failover_set_state");

    /** What QEMU does not have, but a pattern is to find before it happened for the first time. */
    static final List<String> OURS = List.of("colo_compare_checkpoint");

    private TraceNames() {}
}
