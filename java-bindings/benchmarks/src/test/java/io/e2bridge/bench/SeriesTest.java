package io.e2bridge.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SeriesTest {
    @Test
    void percentilesAreNearestRanks() {
        double[] hundred = IntStream.rangeClosed(1, 100).asDoubleStream().toArray();
        assertEquals(1, Series.percentile(hundred, 0));
        assertEquals(50, Series.percentile(hundred, 50));
        assertEquals(99, Series.percentile(hundred, 99));
        assertEquals(100, Series.percentile(hundred, 99.5));
        assertEquals(100, Series.percentile(hundred, 100));
        assertEquals(7, Series.percentile(new double[] {7}, 99));
        assertEquals(2, Series.percentile(new double[] {1, 2, 3, 4}, 50));
        assertTrue(Double.isNaN(Series.percentile(new double[0], 50)));
    }

    @Test
    void blocksAreJoinedForPercentilesAndComparedForTheSpread() {
        Series series = new Series();
        series.add(new double[] {30, 10, 20});
        series.add(new double[] {40, 60, 50});
        series.add(new double[0]);
        assertEquals(6, series.count());
        assertEquals(30, series.median());
        assertEquals(35, series.mean());
        assertArrayEquals(new double[] {10, 20, 30, 40, 50, 60}, series.sorted());
        assertEquals(new Series.Spread(20, 20, 50), series.medians());
        assertEquals(2.5, series.medians().ratio());
    }

    @Test
    void theRateOfOneCallerIsThatOfItsTimesAndOfManyThatOfTheClock() {
        Series one = new Series();
        one.add(new double[] {100, 300});
        assertEquals(5000, one.rate(), 1e-9);
        Series many = new Series();
        many.add(new double[] {1e6, 1e6, 1e6, 1e6}, 2);
        many.add(new double[] {1e6, 1e6}, 2);
        assertEquals(1.5, many.rate(), 1e-9);
        assertEquals(new Series.Spread(1, 1, 2), many.rates());
    }

    @Test
    void targetsAreMetAtTheirLimit() {
        Series series = new Series();
        series.add(new double[] {100, 100});
        assertTrue(new Target(100, false).met(series));
        assertFalse(new Target(50, false).met(series));
        assertEquals(2, new Target(50, false).excess(series));
        assertTrue(new Target(10_000, true).met(series));
        assertFalse(new Target(20_000, true).met(series));
        assertEquals(2, new Target(20_000, true).excess(series), 1e-9);
    }

    @Test
    void aSampleMoreAfterSortingIsSeen() {
        Series series = new Series();
        series.add(new double[] {1});
        assertEquals(1, series.percentile(100));
        series.add(new double[] {2});
        assertEquals(2, series.percentile(100));
    }
}
