package consumer;

import io.e2bridge.CodeResult;
import io.e2bridge.E2B;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import io.e2bridge.SandboxCreated;

/** Runs code in a sandbox; exit status 3 when this host cannot isolate. */
public final class Consumer {
    private Consumer() {}

    public static void main(String[] arguments) {
        try (E2B e2b = E2B.open()) {
            SandboxCreated sandbox = e2b.createE2BSandbox("consumer", "base", 60, 64, 1);
            CodeResult answer = e2b.runE2BCode(sandbox.sandboxId(), "javascript", "6 * 7");
            System.out.println("result " + answer.result() + ", keys " + answer.json().size());
        } catch (E2BException e) {
            if (e.code() == E2BErrorCode.ISOLATION_UNAVAILABLE || e.code() == E2BErrorCode.UNSUPPORTED) {
                System.out.println(e);
                System.exit(3);
            }
            throw e;
        }
    }
}
