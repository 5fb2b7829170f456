package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** Health of the engine and of every sandbox. */
class HealthTest extends EngineTest {
    @Test
    void withoutSandboxesItIsTheEngines() {
        HealthReport report = Documents.read(e2b().monitorE2BHealth());
        assertEquals("healthy", report.overallHealth(), report.json().toString());
        assertTrue(report.sandboxes().isEmpty());
        assertEquals("local", report.backend());
        assertTrue(report.isolation().seccomp());
        assertTrue(report.engine().size() > 0);
        assertTrue(report.host().size() > 0);
    }

    @Test
    void everySandboxIsProbedOnRequest() {
        String one = base();
        String other = base();
        HealthReport report = Documents.read(e2b().monitorE2BHealth(true));
        assertEquals("healthy", report.overallHealth(), report.json().toString());
        assertEquals(2, report.sandboxes().size());
        assertEquals(2, report.liveSandboxes());
        assertEquals(2, report.responsiveSandboxes());
        assertTrue(report.sandboxes().stream().allMatch(sandbox -> sandbox.responsive() && sandbox.probeUs() != null));
        assertTrue(e2b().monitorE2BHealth(false).sandboxes().isEmpty());
        end(one);
        end(other);
    }

    @Test
    void latenciesAreCountedByFunction() {
        String sandbox = base();
        LatencySummary before = e2b().monitorE2BHealth(null).latency().get("get_e2b_sandbox_status");
        for (int i = 0; i < 10; i++) {
            e2b().getE2BSandboxStatus(sandbox);
        }
        LatencySummary after = e2b().monitorE2BHealth(null).latency().get("get_e2b_sandbox_status");
        assertEquals((before == null ? 0 : before.count()) + 10, after.count());
        assertTrue(after.p50Us() > 0 && after.p50Us() <= after.p99Us() && after.p99Us() <= after.maxUs());
        end(sandbox);
    }
}
