package io.e2bridge.conformance;

import io.e2bridge.E2B;
import java.net.URI;
import java.util.EnumSet;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;

/**
 * The contract on a real envd, E2B's daemon inside a sandbox, with the control plane of the double. Its address, of one that runs
 * already and has no access token, is in {@code E2B_ENVD_URL}. It runs programs where it runs itself, so that it belongs into
 * namespaces of its own: docs/cloud-compatibility.md.
 */
class EnvdContractTest extends Contract {
    @Override
    Place place() {
        String address = System.getenv("E2B_ENVD_URL");
        Assumptions.assumeTrue(address != null, "no E2B_ENVD_URL: a real envd is not tried");
        return new Envd(address);
    }

    /** All its sandboxes are one, and it has no code interpreter. */
    private static final class Envd implements Place {
        private final TheDouble control = new TheDouble();
        private final String address;

        private Envd(String address) {
            this.address = address;
        }

        @Override
        public String backend() {
            return control.backend();
        }

        @Override
        public Set<Capability> capabilities() {
            return EnumSet.of(Capability.SHARED_BY_PROCESSES);
        }

        @Override
        public E2B open() {
            return E2B.open(control.config().sandboxUrl(URI.create(address)).build());
        }

        @Override
        public void close() {
            control.close();
        }
    }
}
