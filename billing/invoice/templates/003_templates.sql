-- Version 2: names of seasons and price periods as tariffs use them.
insert into billing.invoice_template (class, language, version, document)
select t.class, t.language, 2, jsonb_set(t.document, '{text}', t.document->'text' || n.texts)
from billing.invoice_template t
join (values
        ('en', '{"winter": "winter", "summer": "summer", "mid": "mid-peak", "off": "off-peak", "low": "low rate",
                 "high": "high rate", "standard": "standard hours", "weekend": "weekend"}'::jsonb),
        ('vi', '{"winter": "mùa đông", "summer": "mùa hè", "mid": "giờ trung bình", "off": "giờ thấp điểm",
                 "low": "giờ thấp điểm", "high": "giờ cao điểm", "standard": "giờ bình thường",
                 "weekend": "cuối tuần"}'),
        ('ar', '{"winter": "شتاء", "summer": "صيف", "mid": "متوسط", "off": "خارج الذروة", "low": "تعرفة منخفضة",
                 "high": "تعرفة مرتفعة", "standard": "عادي", "weekend": "عطلة الأسبوع"}')) as n(language, texts)
        on n.language = t.language
where t.class = 'default' and t.version = 1;
