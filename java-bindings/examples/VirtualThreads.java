import io.e2bridge.E2B;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** One client, many virtual threads, each with a sandbox of its own. A waiting call does not block the thread's carrier. */
public final class VirtualThreads {
    private static final int TASKS = 40;

    private VirtualThreads() {}

    public static void main(String[] arguments) throws InterruptedException, ExecutionException {
        try (E2B e2b = E2B.open(); ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<Integer>> squares = new ArrayList<>();
            for (int i = 1; i <= TASKS; i++) {
                int number = i;
                squares.add(threads.submit(() -> square(e2b, number)));
            }
            int sum = 0;
            for (Future<Integer> square : squares) {
                sum += square.get();
            }
            System.out.println("sum of " + TASKS + " squares: " + sum);
            System.out.println("sandboxes left: " + e2b.listE2BSandboxes().totalCount());
        }
    }

    private static int square(E2B e2b, int number) {
        String sandbox = e2b.createE2BSandbox("square-" + number, "base", 60, 32, 1).sandboxId();
        try {
            return Integer.parseInt(e2b.runE2BCode(sandbox, "javascript", number + " * " + number).result());
        } finally {
            e2b.terminateE2BSandbox(sandbox, true);
        }
    }
}
