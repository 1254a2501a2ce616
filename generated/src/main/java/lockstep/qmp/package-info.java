/**
 * QMP, from both ends of the wire.
 *
 * <p><b>Client.</b> {@link lockstep.qmp.QmpClient} drives any QMP server; the class {@code Client} that is
 * generated from a schema adds a method for each command. It needs nothing but this module:
 *
 * {@snippet :
 * try (Client vm = Client.connect(QmpAddress.parse(address))) {
 *     vm.qmp().on(StopEvent.class, stop -> System.out.println("stopped at " + stop.time()));
 *     if (vm.queryStatus().running()) {
 *         vm.stop();
 *     }
 *     CompletableFuture<NameInfo> name = vm.queryNameAsync();
 *     System.out.println(name.get().name());
 *     vm.outOfBand().queryYank(); // answered even when the main loop hangs
 *     System.out.println(vm.caller().execute("x-any-command", new JsonObject()));
 * } catch (QmpException e) {
 *     System.out.println("The server refused: " + e.errorClass() + ", " + e.description());
 * }
 * }
 *
 * <p><b>Server.</b> The JSON text reader and printer with QEMU's tolerance, limits, error texts and member
 * order, and the table that answers requests.
 *
 * <p><b>Both.</b> The visitors that fill and write generated types, and QEMU's {@code key=value} text.
 */
package lockstep.qmp;
