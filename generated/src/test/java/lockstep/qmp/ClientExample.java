package lockstep.qmp;

import lockstep.api.Client;
import lockstep.api.NameInfo;
import lockstep.api.StopEvent;

import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/** The example of the package's documentation; a test holds the two together. */
final class ClientExample {
    private ClientExample() {}

    static void run(String address) throws IOException, InterruptedException, ExecutionException {
        // example
        try (Client vm = Client.connect(QmpAddress.parse(address))) {
            vm.qmp().on(StopEvent.class, stop -> System.out.println("stopped at " + stop.time()));
            if (vm.queryStatus().running()) {
                vm.stop();
            }
            CompletableFuture<NameInfo> name = vm.queryNameAsync();
            System.out.println(name.get().name());
            vm.outOfBand().queryYank(); // answered even when the main loop hangs
            System.out.println(vm.caller().execute("x-any-command", new JsonObject()));
        } catch (QmpException e) {
            System.out.println("The server refused: " + e.errorClass() + ", " + e.description());
        }
        // end
    }
}
