import io.e2bridge.E2B;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import io.e2bridge.ProcessResult;
import java.util.List;

/** Runs programs: with a shell and without one, one that fails, one that takes too long. */
public final class ExecuteProcess {
    private ExecuteProcess() {}

    public static void main(String[] arguments) {
        try (E2B e2b = E2B.open()) {
            String sandbox = e2b.createE2BSandbox("processes", "base", 300, 128, 1).sandboxId();

            // A line for the shell.
            ProcessResult line = e2b.executeE2BProcess(sandbox, "for i in 1 2 3; do echo $((i * i)); done");
            System.out.println("squares: " + line.stdout().strip().replace('\n', ' '));

            // A program with its arguments: no shell, nothing to quote.
            ProcessResult program = e2b.executeE2BProcess(sandbox, "/bin/echo", List.of("$HOME", "*", "a b"));
            System.out.println("arguments as they are: " + program.stdout().strip());

            // A failure and a time-out are results.
            System.out.println("exit code: " + e2b.executeE2BProcess(sandbox, "exit 3").exitCode());
            ProcessResult slow = e2b.executeE2BProcess(sandbox, "sleep 60", null, 1, true);
            System.out.println("timed out: " + slow.timedOut());

            // A mistake of the caller is an exception that names the argument.
            try {
                e2b.executeE2BProcess(sandbox, "true", null, 0, true);
            } catch (E2BException e) {
                System.out.println("refused: " + e.argument() + ", " + (e.code() == E2BErrorCode.INVALID_ARGUMENT));
            }
        }
    }
}
