package io.e2bridge.conformance;

import io.e2bridge.Backend;
import io.e2bridge.E2B;
import io.e2bridge.E2BConfig;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;

/**
 * The contract on the E2B cloud or a cluster of one's own. It makes sandboxes, which cost, so that a key alone is not enough:
 * {@code E2B_BACKEND=cloud} or {@code -De2bridge.conformance.cloud=true} must be said, too.
 */
class CloudContractTest extends Contract {
    @Override
    Place place() {
        boolean asked = "cloud".equals(System.getenv("E2B_BACKEND")) || Boolean.getBoolean("e2bridge.conformance.cloud");
        Assumptions.assumeTrue(System.getenv("E2B_API_KEY") != null, "no E2B_API_KEY: the E2B cloud is not tried");
        Assumptions.assumeTrue(asked, "neither E2B_BACKEND=cloud nor -De2bridge.conformance.cloud=true: the E2B cloud is not tried");
        return new Cloud();
    }

    private static final class Cloud implements Place {
        @Override
        public String backend() {
            return "cloud";
        }

        @Override
        public Set<Capability> capabilities() {
            return Capability.OF_A_CLUSTER;
        }

        @Override
        public E2B open() {
            return E2B.open(E2BConfig.builder().backend(Backend.CLOUD).build());
        }

        @Override
        public void close() {}
    }
}
